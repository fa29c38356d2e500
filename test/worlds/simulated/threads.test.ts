import { describe, expect, test } from 'vitest';
import type { SmcRegisters } from '../../../src/protocol/conduit.js';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../../../src/protocol/optee-msg.js';
import { RpcCommand, RpcShmType } from '../../../src/protocol/optee-rpc-command.js';
import { OpteeSmc, OpteeSmcReturn, OpteeSmcRpc, rpcReturn } from '../../../src/protocol/optee-smc.js';
import { TeeResult } from '../../../src/protocol/tee-result.js';
import { trustedApplication, WorkloadCommand, workloadPta } from '../../../src/worlds/simulated/index.js';
import { board } from './board.js';
import { value } from './normal-world.js';

const { wait, nothing, compute } = WorkloadCommand;
const applications = { trustedApplications: [workloadPta] };

const input = (a: number) => value(a, 0, OpteeMsgAttr.valueInput);

/** A world with one thread parked in the SUSPEND of a TEE_Wait, entered with its own memory for RPC messages. */
async function parked(options: Parameters<typeof board>[0] = {}) {
  const made = board({ ...applications, ...options });
  const { world, normal } = made;
  const session = await normal.open(workloadPta.uuid);
  const park = () => {
    const { address, message } = normal.invokeMessage(session, wait, [input(10)]);
    return { address, message, rpc: world.smc(smcRegisters(OpteeSmc.callWithRpcArg, 0, address)) as SmcRegisters };
  };
  return { ...made, session, park };
}

describe('thread contexts', () => {
  test('a call that finds none free gets ETHREAD_LIMIT and its registers are not preserved', async () => {
    const { world, park } = await parked();
    const calls = [park(), park()];
    expect(calls.map(({ rpc }) => [rpc.a0, rpc.a3])).toEqual([
      [rpcReturn(OpteeSmcRpc.cmd), 0],
      [rpcReturn(OpteeSmcRpc.cmd), 1],
    ]);
    expect(world.threads.map(({ state }) => state)).toEqual(['suspended', 'suspended']);
    const third = park();
    expect(third.rpc.a0).toBe(OpteeSmcReturn.ethreadLimit);
    expect(third.rpc.a2).not.toBe(third.address);
  });

  test('fast calls work while every thread is in use', async () => {
    const { world, park } = await parked({ threads: 1 });
    park();
    expect(world.smc(smcRegisters(OpteeSmc.getThreadCount))).toMatchObject({ a0: 0, a1: 1 });
  });

  test('a thread that returns is free for the next call', async () => {
    const { world, normal, park, finish } = await parked({ threads: 1 });
    const { rpc, address, message } = park();
    await finish(normal.follow(rpc, address, OpteeSmc.callWithRpcArg));
    expect(message.ret).toBe(TeeResult.SUCCESS);
    expect(world.threads).toMatchObject([{ state: 'free', activity: '', request: '' }]);
    expect(park().rpc.a0).toBe(rpcReturn(OpteeSmcRpc.cmd));
  });

  test('reports what every thread does and waits for', async () => {
    const { world, park } = await parked();
    park();
    expect(world.threads).toEqual([
      { id: 0, state: 'suspended', activity: 'invoke', application: 'workload', command: wait, request: 'SUSPEND' },
      { id: 1, state: 'free', activity: '', application: '', command: 0, request: '' },
    ]);
  });

  test.each([
    ['a free thread', 1],
    ['a thread that does not exist', 2],
    ['no thread id at all', 0xffff_ffff],
  ])('resuming %s gets ERESUME', async (_, id) => {
    const { world, park } = await parked();
    park();
    expect(await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, id))).toMatchObject({
      a0: OpteeSmcReturn.eresume,
    });
  });

  test('a thread is resumed once', async () => {
    const { world, park } = await parked();
    const { rpc } = park();
    const first = world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, rpc.a3));
    expect(await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, rpc.a3))).toMatchObject({
      a0: OpteeSmcReturn.eresume,
    });
    // No time has passed: the application asks to sleep again.
    expect(await first).toMatchObject({ a0: rpcReturn(OpteeSmcRpc.cmd), a3: rpc.a3 });
  });
});

describe('a bad call', () => {
  const longMessage = (address: number, count: number) => ({ address, count });

  test.each([
    ['below memory', 0x3fff_f000, OpteeSmc.callWithArg],
    ['above memory', 0x4400_0000, OpteeSmc.callWithArg],
    ['above 4 GiB', 0x1_4200_0000, OpteeSmc.callWithArg],
    ['at 0', 0, OpteeSmc.callWithArg],
    ['not aligned in the reserved memory', 0x4200_0004, OpteeSmc.callWithArg],
    ['not at the start of a page of its own', 0x4100_0020, OpteeSmc.callWithArg],
    ['over the end of the reserved memory', 0x421f_fff0, OpteeSmc.callWithArg],
    ['without room for the RPC message', 0x421f_ffe0, OpteeSmc.callWithRpcArg],
    ['by a cookie that is not registered', 0x77, OpteeSmc.callWithRegdArg],
  ])('with a message %s gets EBADADDR', async (_, address, functionId) => {
    const { world } = board();
    expect(await world.smc(smcRegisters(functionId, Math.floor(address / 2 ** 32), address % 2 ** 32))).toEqual(
      smcRegisters(OpteeSmcReturn.ebadAddr),
    );
    expect(world.threads.every(({ state }) => state === 'free')).toBe(true);
  });

  test.each([longMessage(0x4200_0000, 128), longMessage(0x4200_0000, 0xffff_ffff), longMessage(0x421f_ff00, 8)])(
    'with $count parameters gets EBADADDR',
    async ({ address, count }) => {
      const { world } = board();
      new MsgArg(world.memory.window(address, 32)).paramCount = count;
      expect(await world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address))).toMatchObject({
        a0: OpteeSmcReturn.ebadAddr,
      });
    },
  );

  test('of an unknown function gets EBADCMD', async () => {
    expect(await board().world.smc(smcRegisters(0x3200_0050))).toMatchObject({ a0: OpteeSmcReturn.ebadCmd });
  });

  test.each([
    ['WITH_RPC_ARG', OpteeSmc.callWithRpcArg, { rpcArg: false }],
    ['WITH_REGD_ARG', OpteeSmc.callWithRegdArg, { rpcArg: false }],
    ['WITH_REGD_ARG', OpteeSmc.callWithRegdArg, { dynamicShm: false }],
  ])('%s gets EBADCMD where it is switched off', async (_, functionId, options) => {
    const { world } = board(options);
    expect(await world.smc(smcRegisters(functionId, 0, 0x4200_0000))).toMatchObject({ a0: OpteeSmcReturn.ebadCmd });
  });

  test.each([
    ['an unknown command', 12, {}],
    ['REGISTER_SHM without dynamic memory', OpteeMsgCmd.registerShm, { dynamicShm: false }],
    ['UNREGISTER_SHM without dynamic memory', OpteeMsgCmd.unregisterShm, { dynamicShm: false }],
    ['DO_BOTTOM_HALF without notifications', OpteeMsgCmd.doBottomHalf, { asyncNotif: false }],
    ['STOP_ASYNC_NOTIF without notifications', OpteeMsgCmd.stopAsyncNotif, { asyncNotif: false }],
  ])('with a message of %s gets EBADCMD', async (_, command, options) => {
    const { normal, world, events } = board(options);
    const { address } = normal.message(command, []);
    expect(await normal.call(address)).toMatchObject({ a0: OpteeSmcReturn.ebadCmd });
    expect(events).toContainEqual({ type: 'log', text: `unknown message command ${command}` });
    expect(world.threads.every(({ state }) => state === 'free')).toBe(true);
  });
});

describe('memory for RPC messages', () => {
  test('is allocated and freed at the end of the call for CALL_WITH_ARG', async () => {
    const { world, normal, finish, supplicant } = board(applications);
    const session = await normal.open(workloadPta.uuid);
    const { address } = normal.invokeMessage(session, wait, [input(10)]);
    const first = world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address)) as SmcRegisters;
    expect(first).toMatchObject({ a0: rpcReturn(OpteeSmcRpc.alloc), a1: msgArgSize(4), a2: 0, a3: 0 });
    await finish(normal.follow(first, address));
    expect(normal.allocated.size).toBe(0);
    expect(supplicant.asked).toEqual(['SUSPEND']);
  });

  test('is part of the message for CALL_WITH_RPC_ARG and CALL_WITH_REGD_ARG', async () => {
    const { world, normal, finish, supplicant } = board(applications);
    const session = await normal.open(workloadPta.uuid);
    const { address } = normal.invokeMessage(session, wait, [input(10)]);
    await finish(normal.call(address, OpteeSmc.callWithRpcArg));
    expect(supplicant.asked).toEqual(['SUSPEND']);

    const registered = normal.invokeMessage(session, wait, [input(10)]);
    await normal.register([registered.address], 0x55);
    const rpc = world.smc(smcRegisters(OpteeSmc.callWithRegdArg, 0, 0x55, 0)) as SmcRegisters;
    expect(rpc).toMatchObject({ a0: rpcReturn(OpteeSmcRpc.cmd), a1: 0, a2: 0 });
    await finish(normal.follow(rpc, registered.address, OpteeSmc.callWithRegdArg));
    expect(registered.message.ret).toBe(TeeResult.SUCCESS);
    expect(normal.allocated.size).toBe(0);
    // The call no longer holds the memory that its message lay in.
    expect((await finish(normal.unregister(0x55))).ret).toBe(TeeResult.SUCCESS);
  });

  test.each([
    ['none', 0, 0],
    ['outside memory', 0x9000_0000, 7],
    ['not aligned', 0x4210_0004, 7],
  ])('is refused if the normal world gives %s: the RPC fails, and the cookie is freed', async (_, address, cookie) => {
    const { world, normal } = board(applications);
    const session = await normal.open(workloadPta.uuid);
    const call = normal.invokeMessage(session, 99, [input(0)]);
    call.message.func = wait;
    call.message.setAB(0, 10, 0);
    let at = (await world.smc(smcRegisters(OpteeSmc.callWithArg, 0, call.address))) as SmcRegisters;
    let freed = 0;
    for (let round = 0; round < 3; round++) {
      expect(at.a0).toBe(rpcReturn(OpteeSmcRpc.alloc));
      at = await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, address, at.a3, 0, cookie));
      if (at.a0 === rpcReturn(OpteeSmcRpc.free)) {
        expect([at.a1, at.a2]).toEqual([0, cookie]);
        freed++;
        at = await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, at.a3));
      }
    }
    expect(freed).toBe(cookie === 0 ? 0 : 3);
  });

  test('is kept by the cache between calls, and freed when the cache is disabled', async () => {
    const { world, normal, finish } = board(applications);
    expect(world.smc(smcRegisters(OpteeSmc.enableShmCache))).toMatchObject({ a0: 0 });
    const session = await normal.open(workloadPta.uuid);
    for (let round = 0; round < 3; round++) await finish(normal.invoke(session, wait, [input(1)]));
    expect([...normal.allocated]).toEqual([1]);
    expect(world.smc(smcRegisters(OpteeSmc.disableShmCache))).toMatchObject({ a0: 0, a1: 0, a2: 1 });
    expect(world.smc(smcRegisters(OpteeSmc.disableShmCache))).toMatchObject({ a0: OpteeSmcReturn.enotAvail });
    expect(world.sharedMemoryCount).toBe(0);
  });

  test('has a cache that is not switched while a thread is in use', async () => {
    const { world, park } = await parked();
    park();
    expect(world.smc(smcRegisters(OpteeSmc.enableShmCache))).toMatchObject({ a0: OpteeSmcReturn.ebusy });
    expect(world.smc(smcRegisters(OpteeSmc.disableShmCache))).toMatchObject({ a0: OpteeSmcReturn.ebusy });
  });
});

describe('shared memory that an application requests', () => {
  const asking = trustedApplication({
    uuid: '00000000-0000-0000-0000-0000000000a5',
    kind: 'pseudo',
    create: () => ({
      async invokeCommand(call) {
        const memory = await call.allocateRpcMemory(8192, RpcShmType.kernel);
        memory.mobj.write(new Uint8Array(8192).fill(7));
        await call.freeRpcMemory(memory);
      },
    }),
  });

  test.each([
    ['too small', (message: MsgArg) => message.setParam(0, OpteeMsgAttr.tmemOutput, 0x4210_0000, 4096, 9)],
    ['outside memory', (message: MsgArg) => message.setParam(0, OpteeMsgAttr.tmemOutput, 0x9000_0000, 8192, 9)],
    ['of another kind', (message: MsgArg) => message.setParam(0, OpteeMsgAttr.rmemOutput, 0, 8192, 9)],
    [
      'larger than a page, outside the reserved memory',
      (message: MsgArg) => message.setParam(0, OpteeMsgAttr.tmemOutput, 0x4100_0000, 8192, 9),
    ],
    [
      'in a page list that is none',
      (message: MsgArg) => message.setParam(0, OpteeMsgAttr.tmemOutput | 0x200, 0x4100_0000, 8192, 9),
    ],
    [
      'with more parameters than asked',
      (message: MsgArg) => {
        message.setParam(0, OpteeMsgAttr.tmemOutput, 0x4210_0000, 8192, 9);
        message.paramCount = 2;
      },
    ],
    [
      'with an error',
      (message: MsgArg) => {
        message.ret = TeeResult.ERROR_OUT_OF_MEMORY;
      },
    ],
  ])('is refused when it is %s', async (_, answer) => {
    const { normal, world, supplicant } = board({ trustedApplications: [asking] });
    const session = await normal.open(asking.uuid);
    const { address, message } = normal.invokeMessage(session, 0);
    supplicant.answer = async (rpc) => {
      rpc.ret = TeeResult.SUCCESS;
      if (rpc.cmd === RpcCommand.shmAlloc) answer(rpc);
    };
    expect(await normal.call(address)).toMatchObject({ a0: 0 });
    expect(message.ret).toBe(TeeResult.ERROR_OUT_OF_MEMORY);
    expect(world.sharedMemoryCount).toBe(0);
    expect(world.threads.every(({ state }) => state === 'free')).toBe(true);
  });

  test('is used and freed if it is valid', async () => {
    const { normal, world } = board({ trustedApplications: [asking] });
    const session = await normal.open(asking.uuid);
    expect((await normal.invoke(session, 0)).ret).toBe(TeeResult.SUCCESS);
    expect([normal.allocated.size, world.sharedMemoryCount]).toEqual([0, 0]);
  });
});

describe('an application that computes', () => {
  test('holds its thread for that time', async () => {
    const { normal, clock, finish } = board(applications);
    const session = await normal.open(workloadPta.uuid);
    await finish(normal.invoke(session, compute, [input(25)]));
    expect(clock.now()).toBe(25);
  });

  test('returns FOREIGN_INTR when it is interrupted, and continues afterwards', async () => {
    const { world, normal, clock, finish } = board(applications);
    const session = await normal.open(workloadPta.uuid);
    const { address, message } = normal.invokeMessage(session, compute, [input(10)]);
    const entered = world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address));
    expect(world.interrupt()).toBe(1);
    expect(await entered).toEqual(smcRegisters(rpcReturn(OpteeSmcRpc.foreignInterrupt), 0, 0, 0));
    expect(world.interrupt()).toBe(0);
    // What the normal world passes when it comes back is not looked at.
    await finish(Promise.resolve(world.smc(smcRegisters(OpteeSmc.returnFromRpc, 9, 9, 0, 9, 9))));
    expect([message.ret, clock.now()]).toEqual([TeeResult.SUCCESS, 10]);
  });

  test('is interrupted periodically', async () => {
    const { normal, world, finish } = board({ ...applications, faults: { foreignInterruptPeriodMs: 3 } });
    const session = await normal.open(workloadPta.uuid);
    const { address } = normal.invokeMessage(session, compute, [input(10)]);
    const returns: number[] = [];
    const run = async () => {
      let at = await world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address));
      while (at.a0 !== 0) {
        returns.push(at.a0);
        at = await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, at.a3));
      }
    };
    await finish(run());
    expect(returns).toEqual([1, 2, 3].map(() => rpcReturn(OpteeSmcRpc.foreignInterrupt)));
  });
});

test('a closed world rejects every call, also pending ones', async () => {
  const { world, normal } = board(applications);
  const session = await normal.open(workloadPta.uuid);
  const { address } = normal.invokeMessage(session, compute, [input(10)]);
  const inside = world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address));
  const rejected = expect(inside).rejects.toMatchObject({ name: 'ConduitError' });
  await world[Symbol.asyncDispose]();
  await rejected;
  await expect(normal.invoke(session, nothing, [value()])).rejects.toMatchObject({ name: 'ConduitError' });
});
