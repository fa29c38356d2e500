/** The calls that the driver makes of its own accord, by what the queue takes them for. */
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import { type DisciplineName, openTee, type Session, type Tee } from '../../src/index.js';
import { openWorld } from '../../src/open-world.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { SimulatedWorld } from '../../src/worlds/simulated/index.js';
import { Command, Gate, pseudoTa, userTa } from '../support/applications.js';

/** One thread, or as many as said, held by calls that stay inside until the gate opens. */
async function allHeld(threads: number, queue: DisciplineName = 'hand-off') {
  const gate = new Gate();
  const tee = await openTee({
    trustedApplications: [pseudoTa, userTa],
    queue,
    simulated: { threads },
    supplicant: { services: gate.services },
  });
  const context = tee.openContext();
  const other = await context.openSession(userTa.uuid);
  const sessions: Session[] = [];
  while (sessions.length < threads) sessions.push(await context.openSession(pseudoTa.uuid));
  const idle = await context.openSession(pseudoTa.uuid);
  const controller = new AbortController();
  const { signal } = controller;
  const held = sessions.map((session) => session.invoke(Command.ask, [], { signal }));
  await gate.reached(threads);
  const end = async () => {
    for (let left = threads; left > 0; left--) {
      await gate.reached(1);
      gate.open();
    }
    await Promise.allSettled(held);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  };
  return { tee, context, other, idle, controller, end };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** How many sleep in each list of the queue. */
function asleep(tee: Tee): Record<string, number> {
  const lists = Object.entries(tee.queueState().lists).filter(([, waiters]) => waiters.length > 0);
  return Object.fromEntries(lists.map(([name, waiters]) => [name, waiters.length]));
}

describe('under hand-off, a call of the driver itself', () => {
  it('is a relief call when it ends a call', async () => {
    const { tee, controller, end } = await allHeld(1);
    controller.abort();
    await turn();
    expect(asleep(tee)).toEqual({ relief_waiters: 1 });
    await end();
  });

  it.each<[DisciplineName, Readonly<Record<string, number>>, Readonly<Record<string, number>>]>([
    ['hand-off', { relief_waiters: 1 }, { relief_waiters: 1, normal_waiters: 1 }],
    // The call that is inside is on the list as well; every cancellation is a call as any other there.
    ['linux-6.8', { waiters: 2 }, { waiters: 3 }],
  ])('%s: a second cancellation of the same call is an ordinary call', async (queue, first, second) => {
    const gate = new Gate();
    const clock = new VirtualClock();
    const tee = await openWorld(new SimulatedWorld({ threads: 1, trustedApplications: [pseudoTa], clock }), {
      ...{ queue, clock, supplicant: { services: gate.services } },
    });
    const session = await tee.openContext().openSession(pseudoTa.uuid);
    const controller = new AbortController();
    const held = session.invoke(Command.ask, [], { signal: controller.signal, limitMs: 5 });
    const failed = expect(held).rejects.toMatchObject({ code: TeeResult.ERROR_TIMEOUT });
    await gate.reached(1);
    controller.abort();
    await turn();
    expect(asleep(tee)).toEqual(first);
    await clock.advance(5);
    expect(asleep(tee)).toEqual(second);
    gate.open();
    await failed;
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('is a relief call when it ends a session of an application that has no call inside', async () => {
    const { tee, other, end } = await allHeld(1);
    const closed = other.close();
    await turn();
    expect(asleep(tee)).toEqual({ relief_waiters: 1 });
    await end();
    await closed;
  });

  it('is an ordinary call when the application has a call inside, for which it may wait', async () => {
    const { tee, idle, end } = await allHeld(1);
    const closed = idle.close();
    await turn();
    expect(asleep(tee)).toEqual({ normal_waiters: 1 });
    await end();
    await closed;
  });

  it('is a relief call when it unregisters memory', async () => {
    const gate = new Gate();
    const tee = await openTee({
      trustedApplications: [pseudoTa],
      simulated: { threads: 1 },
      supplicant: { services: gate.services },
    });
    const context = tee.openContext();
    const shared = await context.allocateSharedMemory(100);
    const session = await context.openSession(pseudoTa.uuid);
    const held = session.invoke(Command.ask);
    await gate.reached(1);
    const released = shared[Symbol.asyncDispose]();
    const registered = context.allocateSharedMemory(100);
    await turn();
    expect(asleep(tee)).toEqual({ relief_waiters: 1, normal_waiters: 1 });
    gate.open();
    await Promise.all([held, released, (await registered)[Symbol.asyncDispose]()]);
    await tee.close();
  });

  it.each<[DisciplineName, boolean]>([
    ['hand-off', true],
    ['hand-off-a', true],
    ['hand-off-c', true],
    ['linux-6.8', false],
    ['patch-v6', false],
  ])('%s: registers memory for a system session by a system call: %s', async (queue, system) => {
    await using tee = await openTee({ trustedApplications: [pseudoTa], queue, simulated: { threads: 2 } });
    await using context = tee.openKernelContext();
    await using session = await context.openSession(pseudoTa.uuid);
    const calls: boolean[] = [];
    const stop = tee.trace.listen((event) => {
      if (event.type === 'call-begin' && event.purpose === 'register-shm') calls.push(event.system);
    });
    await (await context.allocateSharedMemory(100))[Symbol.asyncDispose]();
    expect(session.systemSession()).toBe(true);
    await (await context.allocateSharedMemory(100))[Symbol.asyncDispose]();
    await session.close();
    await (await context.allocateSharedMemory(100))[Symbol.asyncDispose]();
    stop();
    expect(calls).toEqual([false, system, false]);
  });
});

describe('a thread kept for relief calls', () => {
  it('lets a session end while every other thread is held', async () => {
    const gate = new Gate();
    await using tee = await openTee({
      trustedApplications: [pseudoTa, userTa],
      reserve: true,
      simulated: { threads: 2 },
      supplicant: { services: gate.services },
    });
    await using context = tee.openContext();
    const [one, two, other] = [
      await context.openSession(pseudoTa.uuid),
      await context.openSession(pseudoTa.uuid),
      await context.openSession(userTa.uuid),
    ];
    const held = [one, two].map((session) => session.invoke(Command.ask));
    await gate.reached(1);
    await turn();
    expect(asleep(tee)).toEqual({ normal_waiters: 1 });
    await other.close();
    expect(gate.inside).toBe(1);
    gate.open();
    await gate.reached(1);
    gate.open();
    await Promise.all(held);
  });

  it('is refused if the queue does not support it or the value is not a boolean', async () => {
    await expect(openTee({ queue: 'linux-6.8', reserve: true })).rejects.toThrow(
      'reserve: linux-6.8 cannot keep a thread for relief calls; only hand-off, hand-off-a and hand-off-c can',
    );
    const world = new SimulatedWorld({ trustedApplications: [] });
    await expect(openWorld(world, { reserve: 'yes' as unknown as boolean })).rejects.toThrow(
      'reserve is "yes"; allowed: true and false',
    );
  });

  it('permits no system session with two threads, and one with three', async () => {
    for (const [threads, granted] of [
      [2, false],
      [3, true],
    ] as const) {
      await using tee = await openTee({ trustedApplications: [pseudoTa], reserve: true, simulated: { threads } });
      await using session = await tee.openKernelContext().openSession(pseudoTa.uuid);
      expect(session.systemSession()).toBe(granted);
    }
  });
});
