import { describe, expect, test } from 'vitest';
import type { SmcRegisters } from '../../../src/protocol/conduit.js';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { OpteeMsgAttr, OpteeMsgCmd } from '../../../src/protocol/optee-msg.js';
import { RpcCommand } from '../../../src/protocol/optee-rpc-command.js';
import { OpteeSmc, OpteeSmcReturn, OpteeSmcRpc, rpcReturn } from '../../../src/protocol/optee-smc.js';
import { TeeOrigin, TeeResult } from '../../../src/protocol/tee-result.js';
import type { Faults } from '../../../src/worlds/simulated/index.js';
import {
  CounterCommand,
  composeFaults,
  counterTa,
  WorkloadCommand,
  workloadPta,
} from '../../../src/worlds/simulated/index.js';
import { board } from './board.js';
import { value } from './normal-world.js';

const input = (a: number) => value(a, 0, OpteeMsgAttr.valueInput);
const made = (faults: Faults) => board({ trustedApplications: [workloadPta, counterTa], faults });

test('missing threads are never free, although they are announced', async () => {
  const { world, normal } = made({ threadsMissing: 1 });
  expect(world.threads.map(({ state }) => state)).toEqual(['active', 'free']);
  expect(world.smc(smcRegisters(OpteeSmc.getThreadCount))).toMatchObject({ a1: 2 });
  const session = await normal.open(workloadPta.uuid);
  const { address } = normal.invokeMessage(session, WorkloadCommand.wait, [input(10)]);
  const call = smcRegisters(OpteeSmc.callWithArg, 0, address);
  expect(world.smc(call)).toMatchObject({ a0: rpcReturn(OpteeSmcRpc.alloc), a3: 1 });
  expect(world.smc(call)).toMatchObject({ a0: OpteeSmcReturn.ethreadLimit });
  expect(await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, 0))).toMatchObject({ a0: OpteeSmcReturn.eresume });
});

test('an SMC is answered with given registers', () => {
  const hostile = smcRegisters(rpcReturn(77), 1, 2, 3);
  const { world } = made({ smc: ({ a0 }) => (a0 === OpteeSmc.callWithArg ? hostile : undefined) });
  expect(world.smc(smcRegisters(OpteeSmc.callWithArg))).toBe(hostile);
  expect(world.smc(smcRegisters(OpteeSmc.getThreadCount))).toMatchObject({ a0: 0 });
});

test('what an SMC returns is rewritten, at once and later', async () => {
  const { world, normal, clock } = made({
    smcReturn: (registers, call) => (call.a0 === OpteeSmc.callWithArg ? { ...registers, a3: 0x99 } : undefined),
  });
  const session = await normal.open(workloadPta.uuid);
  const { address } = normal.invokeMessage(session, WorkloadCommand.compute, [input(10)]);
  const late = world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address));
  await clock.run();
  expect(await late).toMatchObject({ a0: 0, a3: 0x99 });
});

test('a message is corrupted on the way in and on the way out', async () => {
  const { normal } = made({
    message: (message) => {
      if (message.cmd === OpteeMsgCmd.invokeCommand) message.setAB(0, 40, 2);
    },
    answer: (message) => {
      if (message.cmd === OpteeMsgCmd.openSession) message.session = 0xffff_ffff;
    },
  });
  expect(await normal.open(workloadPta.uuid)).toBe(0xffff_ffff);
  expect((await normal.invoke(1, WorkloadCommand.nothing, [value(1, 1)])).a(0)).toBe(42);
});

describe('an RPC', () => {
  test('that is lost keeps the SMC pending and the thread suspended', async () => {
    const { world, normal, clock } = made({ rpc: ({ func }) => (func === OpteeSmcRpc.cmd ? 'lost' : undefined) });
    const session = await normal.open(workloadPta.uuid);
    let returned = false;
    void normal.invoke(session, WorkloadCommand.wait, [input(10)]).then(() => {
      returned = true;
    });
    expect(await clock.run()).toBe('quiet');
    expect([returned, world.threads[0]?.state]).toEqual([false, 'suspended']);
    expect(await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, 0, 0))).toMatchObject({
      a0: OpteeSmcReturn.eresume,
    });
  });

  test('that is repeated has the same content', async () => {
    const { normal, finish, supplicant, clock } = made({
      rpc: ({ message }) => (message?.cmd === RpcCommand.suspend ? 'twice' : undefined),
    });
    const session = await normal.open(workloadPta.uuid);
    await finish(normal.invoke(session, WorkloadCommand.wait, [input(10)]));
    expect([supplicant.asked, clock.now()]).toEqual([['SUSPEND', 'SUSPEND'], 20]);
  });

  test('can free memory twice', async () => {
    const { normal, finish } = made({ rpc: ({ func }) => (func === OpteeSmcRpc.free ? 'twice' : undefined) });
    const session = await normal.open(workloadPta.uuid);
    await expect(finish(normal.invoke(session, WorkloadCommand.wait, [input(1)]))).rejects.toThrow('freed twice');
  });

  test('is given other registers, or another message', async () => {
    let rewritten = false;
    const { world, normal } = made({
      rpc: ({ message, registers }) => {
        if (message === undefined) return { ...registers, a1: 0xffff_ffff };
        message.cmd = 99;
        message.paramCount = 0xffff;
        rewritten = true;
        return undefined;
      },
    });
    const session = await normal.open(workloadPta.uuid);
    const { address } = normal.invokeMessage(session, WorkloadCommand.wait, [input(10)]);
    const asked = (await world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address))) as SmcRegisters;
    expect(asked).toMatchObject({ a0: rpcReturn(OpteeSmcRpc.alloc), a1: 0xffff_ffff });
    await world.smc(smcRegisters(OpteeSmc.returnFromRpc, 0, normal.allocate(), asked.a3, 0, 7));
    expect(rewritten).toBe(true);
  });
});

test('memory is refused', async () => {
  const { normal, world } = made({ refuseMemory: ({ cookie, size }) => cookie === 7 && size === 4096 });
  expect((await normal.register([0x4100_0000], 7)).ret).toBe(TeeResult.ERROR_BAD_PARAMETERS);
  expect((await normal.register([0x4100_0000], 8)).ret).toBe(TeeResult.SUCCESS);
  expect(world.sharedMemoryCount).toBe(1);
});

test('an application panics or fails on request', async () => {
  const { normal } = made({
    trustedApplication: ({ uuid, entry, command }) => {
      if (uuid !== counterTa.uuid || entry !== 'invoke') return undefined;
      return command === CounterCommand.echo ? { panic: 5 } : { result: TeeResult.ERROR_NO_DATA };
    },
  });
  const session = await normal.open(counterTa.uuid);
  expect(await normal.invoke(session, CounterCommand.add, [value(1)])).toMatchObject({
    ret: TeeResult.ERROR_NO_DATA,
    retOrigin: TeeOrigin.TRUSTED_APP,
  });
  expect((await normal.invoke(session, CounterCommand.echo)).ret).toBe(TeeResult.ERROR_TARGET_DEAD);
});

test('faults are combined: the first that answers decides, and missing threads are added', async () => {
  const one: Faults = { threadsMissing: 1, smc: ({ a0 }) => (a0 === 1 ? smcRegisters(11) : undefined) };
  const two: Faults = { threadsMissing: 1, smc: ({ a0 }) => (a0 <= 2 ? smcRegisters(22) : undefined) };
  const { world } = made(composeFaults(one, two));
  expect([1, 2].map((a0) => (world.smc(smcRegisters(a0)) as SmcRegisters).a0)).toEqual([11, 22]);
  expect(world.threads.every(({ state }) => state === 'active')).toBe(true);
});

test('only a free thread can be lost', async () => {
  const { world, normal, clock } = made({});
  const session = await normal.open(workloadPta.uuid);
  const { address } = normal.invokeMessage(session, WorkloadCommand.compute, [input(10)]);
  const call = world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address));
  expect([world.loseThread(), world.loseThread()]).toEqual([1, undefined]);
  await clock.run();
  expect(await call).toMatchObject({ a0: 0 });
  expect(world.threads.map(({ state }) => state)).toEqual(['free', 'active']);
  expect(world.loseThread()).toBe(0);
  expect(world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address))).toMatchObject({ a0: OpteeSmcReturn.ethreadLimit });
});

test('resuming a thread a second time does not affect it', async () => {
  const resumed: number[] = [];
  const { world, normal } = made({
    resumedTwice: (thread) => {
      resumed.push(thread);
      return true;
    },
  });
  const session = await normal.open(counterTa.uuid);
  expect(resumed).toContain(0);
  expect(await normal.invoke(session, CounterCommand.add, [value(3)])).toMatchObject({ ret: TeeResult.SUCCESS });
  expect(world.threads.map(({ state }) => state)).toEqual(['free', 'free']);
});
