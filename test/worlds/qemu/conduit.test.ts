import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SmcRegisters, smcRegisters } from '../../../src/protocol/conduit.js';
import { attrMeta, MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../../../src/protocol/optee-msg.js';
import {
  isRpcReturn,
  lower32,
  OpteeSmc,
  OpteeSmcReturn,
  OpteeSmcRpc,
  opteeApiUid,
  opteeOsUuid,
  rpcFunction,
  SecureWorldCapability,
} from '../../../src/protocol/optee-smc.js';
import { pageSize } from '../../../src/protocol/physical-memory.js';
import { TeeResult } from '../../../src/protocol/tee-result.js';
import { uuidOctets } from '../../../src/protocol/uuid.js';
import type { QemuWorld } from '../../../src/worlds/qemu/qemu-world.js';
import { onRealOptee, startWorld, whyNot } from './real-optee.js';

describe.skipIf(whyNot !== undefined)(onRealOptee('the conduit to real OP-TEE'), () => {
  let world: QemuWorld;
  beforeAll(async () => {
    world = await startWorld();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const smc = async (registers: SmcRegisters) => world.conduit.smc(registers);
  const call = (functionId: number, a1 = 0) => smc(smcRegisters(functionId, a1));

  /** A message in a page of its own that asks for a session with a TA, which OP-TEE cannot have without an RPC. */
  function openSessionMessage(page: number): { readonly address: number; readonly msg: MsgArg } {
    const address = (world.normalWorldRam[0]?.base ?? 0) + page * pageSize;
    const msg = new MsgArg(world.memory.window(address, msgArgSize(2)));
    msg.reset(2);
    msg.cmd = OpteeMsgCmd.openSession;
    msg.setParam(0, OpteeMsgAttr.valueInput | attrMeta, 0, 0, 0);
    msg.octets(0).set(uuidOctets('5b9e0e40-2636-11e1-ad9e-0002a5d5c51b'));
    msg.setParam(1, OpteeMsgAttr.valueInput | attrMeta, 0, 0, 0);
    return { address, msg };
  }

  /** Go on with a parked call, which asked for memory, until it returns: there is none. */
  async function finish(parked: SmcRegisters): Promise<SmcRegisters> {
    let returned = parked;
    while (isRpcReturn(returned.a0)) {
      const { a3, a6, a7 } = returned;
      returned = await smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, a3, 0, 0, a6, a7));
    }
    return returned;
  }

  /** Make the call and follow it through foreign interrupts to its first request. */
  async function park(address: number): Promise<SmcRegisters> {
    let returned = await smc(smcRegisters(OpteeSmc.callWithArg, 0, lower32(address)));
    while (isRpcReturn(returned.a0) && rpcFunction(returned.a0) === OpteeSmcRpc.foreignInterrupt)
      returned = await smc({ ...returned, a0: OpteeSmc.returnFromRpc });
    return returned;
  }

  it('answers the fast calls of a driver that probes', async () => {
    const uid = await call(OpteeSmc.callsUid);
    expect([uid.a0, uid.a1, uid.a2, uid.a3]).toEqual([...opteeApiUid]);
    const os = await call(OpteeSmc.getOsUuid);
    expect([os.a0, os.a1, os.a2, os.a3]).toEqual([...opteeOsUuid]);
    expect(await call(OpteeSmc.callsRevision)).toMatchObject({ a0: 2, a1: 0 });
    expect(await call(OpteeSmc.getOsRevision)).toMatchObject({ a0: 4 });
    const capabilities = await call(OpteeSmc.exchangeCapabilities);
    expect(capabilities.a0).toBe(OpteeSmcReturn.ok);
    expect(capabilities.a1 & SecureWorldCapability.dynamicShm).not.toBe(0);
    expect(await call(OpteeSmc.getThreadCount)).toMatchObject({ a0: OpteeSmcReturn.ok, a1: 2 });
    expect(await call(OpteeSmc.getShmConfig)).toMatchObject({ a0: 0, a1: 0x4200_0000, a2: 0x20_0000, a3: 1 });
  });

  it('does not pass SMCs to OP-TEE that are not for a trusted OS', async () => {
    for (const psciVersion of [0x8400_0000, 0xc400_0000]) {
      expect(await call(psciVersion)).toMatchObject({ a0: 0xffff_ffff });
    }
    expect(await call(0xbe00_0005), 'what OP-TEE itself says to the monitor').not.toMatchObject({ a0: 0 });
  });

  it('serves more callers than there are CPUs, each with its own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        call(index % 2 === 0 ? OpteeSmc.getThreadCount : OpteeSmc.callsRevision),
      ),
    );
    for (const [index, answer] of answers.entries())
      expect(answer).toMatchObject(index % 2 === 0 ? { a0: 0, a1: 2 } : { a0: 2, a1: 0 });
  });

  it('has two calls inside, and OP-TEE refuses the third', async () => {
    const messages = [0, 1, 2].map(openSessionMessage);
    const parked: SmcRegisters[] = [];
    for (const { address } of messages.slice(0, 2)) {
      const returned = await park(address);
      expect(isRpcReturn(returned.a0)).toBe(true);
      expect(rpcFunction(returned.a0)).toBe(OpteeSmcRpc.alloc);
      parked.push(returned);
    }
    const third = messages[2]?.address ?? 0;
    expect(await smc(smcRegisters(OpteeSmc.callWithArg, 0, third))).toMatchObject({ a0: OpteeSmcReturn.ethreadLimit });
    expect(await call(OpteeSmc.enableShmCache), 'while threads are active').toMatchObject({ a0: OpteeSmcReturn.ebusy });
    expect(await call(OpteeSmc.getThreadCount), 'a fast call needs no thread').toMatchObject({ a0: 0, a1: 2 });
    for (const registers of parked) expect(await finish(registers)).toMatchObject({ a0: OpteeSmcReturn.ok });
    for (const { msg } of messages.slice(0, 2)) expect(msg.ret).toBe(TeeResult.ERROR_OUT_OF_MEMORY);
  });

  it('refuses to resume a thread that is not suspended', async () => {
    expect(await smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, 1))).toMatchObject({ a0: OpteeSmcReturn.eresume });
    expect(await smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, 99))).toMatchObject({ a0: OpteeSmcReturn.eresume });
  });

  it('refuses a message in memory that is not shared', async () => {
    for (const secure of [0x0e10_0000, 0xffff_f000])
      expect(await smc(smcRegisters(OpteeSmc.callWithArg, 0, secure))).toMatchObject({ a0: OpteeSmcReturn.ebadAddr });
  });
});
