import { describe, expect, it } from 'vitest';
import { type DisciplineName, openTee, type Session, TeeResult, value } from '../../src/index.js';
import { Command, Gate, pseudoTa } from '../support/applications.js';

async function open(queue: DisciplineName, simulated = {}) {
  const gate = new Gate();
  const tee = await openTee({
    trustedApplications: [pseudoTa],
    queue,
    simulated,
    supplicant: { services: gate.services },
  });
  const system = await tee.openKernelContext().openSession(pseudoTa.uuid);
  const context = tee.openContext();
  /** Calls that stay inside until the gate opens; each in a session of its own, as OP-TEE runs one call a session. */
  const hold = async (count: number): Promise<Promise<unknown>[]> => {
    const sessions: Session[] = [];
    while (sessions.length < count) sessions.push(await context.openSession(pseudoTa.uuid));
    return sessions.map((session) => session.invoke(Command.ask));
  };
  return { tee, gate, system, context, hold };
}

/** Whether a call has returned, once everything that can happen has. */
async function settled(call: Promise<unknown>): Promise<boolean> {
  let done = false;
  void call.then(
    () => {
      done = true;
    },
    () => {
      done = true;
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

const add = [value.inout(1, 1)] as const;

describe('a system session', () => {
  it.each<DisciplineName>(['patch-v6', 'linux-6.8', 'hand-off', 'hand-off-a'])(
    'under %s enters while normal calls hold every other thread',
    async (queue) => {
      const { tee, gate, system, hold } = await open(queue);
      expect(system.systemSession()).toBe(true);
      const held = await hold(2);
      await gate.reached(1);
      expect(await system.invoke(Command.add, add)).toEqual([{ a: 2, b: 1 }]);
      // The second normal call may not take the thread in reserve.
      expect(gate.inside).toBe(1);
      gate.open();
      await gate.reached(1);
      gate.open();
      await Promise.all(held);
      await tee.close();
      expect(tee.sharedMemoryInUse).toBe(0);
    },
  );

  it('without a reservation waits like any other session', async () => {
    const { tee, gate, system, hold } = await open('hand-off');
    const held = await hold(2);
    await gate.reached(2);
    const call = system.invoke(Command.add, add);
    expect(await settled(call)).toBe(false);
    gate.open();
    await Promise.all([...held, call]);
    await tee.close();
  });

  it.each<[DisciplineName, object]>([
    ['linux-6.7', {}],
    ['linux-6.8', { threads: 1 }],
    ['patch-v6', { threads: 1 }],
    ['hand-off', { threads: 1 }],
    ['linux-6.8', { announcedThreads: false }],
  ])('under %s is refused if no thread can be reserved (%j)', async (queue, simulated) => {
    const { tee, system } = await open(queue, simulated);
    expect(system.systemSession()).toBe(false);
    expect(await system.invoke(Command.add, add)).toEqual([{ a: 2, b: 1 }]);
    await tee.close();
  });

  it('counts once, however often it is requested, until it closes', async () => {
    const { tee, gate, system, hold } = await open('hand-off');
    expect(system.systemSession()).toBe(true);
    expect(system.systemSession()).toBe(true);
    expect(tee.queueState().counters.reservations).toBe(1);
    await system.close();
    expect(tee.queueState().counters.reservations).toBe(0);
    const held = await hold(2);
    await gate.reached(2);
    gate.open();
    await Promise.all(held);
    await tee.close();
  });

  it('ends with its context', async () => {
    const { tee } = await open('hand-off');
    const context = tee.openKernelContext();
    (await context.openSession(pseudoTa.uuid)).systemSession();
    expect(tee.queueState().counters.reservations).toBe(1);
    await context.close();
    expect(tee.queueState().counters.reservations).toBe(0);
    await tee.close();
  });

  it('ends its reservation even if there is no memory for the closing message', async () => {
    // Ten messages fit the one page that the driver can have: as many calls as that use it up.
    const { tee, gate, system, context, hold } = await open('linux-6.8', {
      dynamicShm: false,
      threads: 12,
      reservedShm: { base: 0x4200_0000, size: 0x4000 },
    });
    expect(system.systemSession()).toBe(true);
    const held = await hold(10);
    await gate.reached(10);
    await using _rest = await context.allocateSharedMemory(0x3000);
    await expect(system.close()).rejects.toEqual(expect.objectContaining({ code: TeeResult.ERROR_OUT_OF_MEMORY }));
    expect(tee.queueState().counters.sys_thread_req_count).toBe(0);
    gate.open();
    await Promise.all(held);
    await tee.close();
  });

  it('gets memory for its message although normal calls asleep in the queue use all slots', async () => {
    const { tee, gate, system, hold } = await open('hand-off', { reservedShm: false });
    expect(system.systemSession()).toBe(true);
    const held = await hold(30);
    await gate.reached(1);
    // A page for its message must be registered first, by a call that needs a thread of its own.
    expect(await settled(system.invoke(Command.add, add))).toBe(true);
    for (let call = 0; call < 30; call++) {
      await gate.reached(1);
      gate.open();
    }
    await Promise.all(held);
    await tee.close();
  });

  it('is not available to user space', async () => {
    const { tee, context: user } = await open('hand-off');
    expect('systemSession' in (await user.openSession(pseudoTa.uuid))).toBe(false);
    const context = tee.device.openContext('user', false, { uid: 0, gid: 0, groups: [] });
    const opened = await tee.device.openSession(context, pseudoTa.uuid, { login: 'public' }, []);
    expect(() => tee.device.systemSession(context, opened.session)).toThrow(
      expect.objectContaining({ code: TeeResult.ERROR_ACCESS_DENIED }),
    );
    await tee.device.closeContext(context);
    await tee.close();
  });
});
