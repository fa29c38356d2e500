import { expect, it } from 'vitest';
import { memref, openTee, TeeResult, trustedApplication, value } from '../../src/index.js';
import { OpteeMsgAttr, OpteeMsgCmd } from '../../src/protocol/optee-msg.js';
import { type Faults, SimulatedWorld } from '../../src/testing.js';
import type { SimulatedWorldOptions } from '../../src/worlds/simulated/index.js';

const uuid = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11';

async function open(abi: 'smc' | 'ffa', faults: Faults = {}, options: SimulatedWorldOptions = {}) {
  let goOn = () => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let entered = () => {};
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const ta = trustedApplication({
    uuid,
    kind: 'pseudo',
    concurrent: true,
    create: () => ({
      async invokeCommand(call) {
        if (call.command === 3) await gate;
        if (call.command !== 1) return;
        entered();
        await gate;
        call.memref(0).write(new Uint8Array(call.memref(0).capacity).fill(0xa5));
      },
      async closeSession() {
        entered();
        await gate;
      },
    }),
  });
  const world = new SimulatedWorld({ abi, faults, threads: 3, ...options, trustedApplications: [ta] });
  const tee = await openTee({ world });
  return { tee, world, inside, goOn: () => goOn() };
}

const abis = ['smc', 'ffa'] as const;

it.each(abis)(
  'memory that its owner releases during a call is not reused before the call has returned, over %s',
  async (abi) => {
    const { tee, inside, goOn } = await open(abi);
    const context = tee.openContext();
    const session = await context.openSession(uuid);
    const size = 4096;
    const memory = await context.allocateSharedMemory(size);
    const called = session.invoke(1, [memref.inout(memory)]);
    await inside;
    await memory[Symbol.asyncDispose]();
    const others = await Promise.all(Array.from({ length: 8 }, () => context.allocateSharedMemory(size)));
    goOn();
    await called;
    for (const other of others) expect(other.bytes.every((byte) => byte === 0)).toBe(true);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  },
);

it.each(abis)('a session that is being closed refuses further calls, over %s', async (abi) => {
  const { tee, world, inside, goOn } = await open(abi);
  const session = await tee.openContext().openSession(uuid);
  const closed = session.close();
  await inside;
  let sent = 0;
  tee.trace.listen((event) => {
    if (event.type === 'call-begin') sent++;
  });
  await expect(session.invoke(2)).rejects.toMatchObject({ code: TeeResult.ERROR_BAD_PARAMETERS });
  expect(sent).toBe(0);
  goOn();
  await closed;
  expect(world.sessionCount).toBe(0);
  await tee.close();
});

it.each(abis)('a session whose answer cannot be used is closed again, over %s', async (abi) => {
  const { tee, world, goOn } = await open(abi, {
    answer: (message) => {
      if (message.cmd === OpteeMsgCmd.openSession && message.paramCount === 3)
        message.setParam(2, OpteeMsgAttr.tmemInput, 0, 0, 0);
    },
  });
  goOn();
  await expect(tee.openContext().openSession(uuid, { parameters: [value.inout(1)] })).rejects.toMatchObject({
    code: TeeResult.ERROR_COMMUNICATION,
  });
  expect(world.sessionCount).toBe(0);
  await tee.close();
});

it.each(abis)('a call has the class of its session at the time of the call, over %s', async (abi) => {
  const { tee, goOn } = await open(abi, {}, { reservedShm: false });
  const session = await tee.openContext().openSession(uuid);
  const late = await tee.openKernelContext().openSession(uuid);
  const classes: boolean[] = [];
  tee.trace.listen((event) => {
    if (event.type === 'call-begin' && event.session === late.id) classes.push(event.system);
  });
  // More than a page of messages: what comes now waits until secure world knows another page.
  const calls = Array.from({ length: 60 }, () => session.invoke(3));
  const waiting = late.invoke(2);
  expect(classes).toEqual([]);
  expect(late.systemSession()).toBe(true);
  goOn();
  await Promise.all([...calls, waiting]);
  expect(classes).toEqual([false]);
  await late.invoke(2);
  expect(classes).toEqual([false, true]);
  await tee.close();
});
