import { describe, expect, it } from 'vitest';
import { openTee, type ReeFileSystem, value } from '../../../src/index.js';
import { MemoryFileSystem } from '../../../src/supplicant/memory-file-system.js';
import { Door } from '../../support/door.js';
import { happened } from '../../support/happened.js';
import { InvokeTestsCommand, invokeTests, osTest } from '../../support/optee-test-applications.js';
import { onRealOptee, whyNot } from './real-optee.js';

/** Files that stand for an eMMC whose clock is off: no file opens until the door does. */
function behindDoor(door: Door): ReeFileSystem {
  const files = new MemoryFileSystem();
  return {
    open: async (name) => {
      await door.pass();
      return files.open(name);
    },
    create: (name) => files.create(name),
    remove: (name) => files.remove(name),
    rename: (from, to, overwrite) => files.rename(from, to, overwrite),
    list: (name) => files.list(name),
  };
}

/**
 * The deadlock for which system sessions were made: calls that hold every thread of secure world wait for storage, and
 * storage waits for a kernel driver (the clock of the eMMC, by SCMI) that has to call secure world itself. Here opening
 * a TA is the call that needs storage: OP-TEE looks for it in secure storage first.
 */
describe.skipIf(whyNot !== undefined)(onRealOptee("the storage deadlock, on real OP-TEE's two threads"), () => {
  it('happens without a system session: the queue shows what each call waits for', async () => {
    const door = new Door();
    await using tee = await openTee({ world: 'qemu', supplicant: { fileSystem: behindDoor(door) } });
    const clock = await tee.openKernelContext({ label: 'clock' }).openSession(invokeTests);
    const client = tee.openContext();

    door.shut();
    const first = client.openSession(osTest);
    await door.reached(1);
    // Wherever in secure world it comes to wait (for the first one's lock, it turns out), it holds the other thread.
    const entered = happened(tee, ({ type }) => type === 'world-enter');
    const second = client.openSession(osTest);
    await entered;

    // The clock driver's call, after which the door would open.
    const enabled = clock.invoke(InvokeTestsCommand.params, [value.inout(1, 2)]).then(() => door.open());
    await new Promise(setImmediate);
    const { lists, counters } = tee.queueState();
    const held = door.waiting;
    // Nothing in this system will ever move again; only the test can end it, by opening the door itself.
    door.open();
    expect(lists).toMatchObject({ normal_waiters: [{ phase: 'asleep-claim' }], system_waiters: [] });
    expect(counters).toMatchObject({ capacity: 2, free: 0, normal_in_flight: 2 });
    expect(held, 'files that do not open').toBe(1);
    await Promise.all([enabled, ...[first, second].map(async (opened) => (await opened).close())]);
  });

  it('does not happen with one', async () => {
    const door = new Door();
    await using tee = await openTee({ world: 'qemu', supplicant: { fileSystem: behindDoor(door) } });
    const clock = await tee.openKernelContext({ label: 'clock' }).openSession(invokeTests);
    expect(clock.systemSession()).toBe(true);
    const client = tee.openContext();

    door.shut();
    const first = client.openSession(osTest);
    await door.reached(1);
    const second = client.openSession(osTest);
    const enabled = clock.invoke(InvokeTestsCommand.params, [value.inout(1, 2)]).then(() => door.open());
    await Promise.all([enabled, ...[first, second].map(async (opened) => (await opened).close())]);
  });
});
