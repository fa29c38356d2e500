import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Context,
  memref,
  none,
  type OpenTeeOptions,
  openTee,
  RpcCommand,
  type Tee,
  TeecError,
  temporary,
  value,
} from '../../src/index.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { ScmiAgent } from '../../src/scmi/index.js';
import { behaviourSuite } from '../behaviour/suite.js';
import { Door } from '../support/door.js';
import { happened } from '../support/happened.js';
import {
  InvokeTestsCommand,
  invokeTests,
  OsTestCommand,
  opteeTestApplications,
  osTest,
} from '../support/optee-test-applications.js';
import { builtWith, realOptions, whyNot, without } from './qemu/real-optee.js';

const error = (name: keyof typeof TeeResult, origin: keyof typeof TeeOrigin) =>
  expect.objectContaining({ code: TeeResult[name], origin: TeeOrigin[origin] });

const { params } = InvokeTestsCommand;
const identity = { uid: 1000, gid: 100, groups: [100, 27] };

interface World {
  readonly options: OpenTeeOptions;
  readonly whyNot: string | undefined;
  readonly threads: number;
  /** How many it says that it has, where that is something else: over FF-A it does not say. */
  readonly told?: number | undefined;
  /** Why memory cannot be registered. */
  readonly unregistered?: string | undefined;
}

const worlds: Record<string, World> = {
  'the simulated world': { options: { trustedApplications: opteeTestApplications }, whyNot: undefined, threads: 2 },
  'real OP-TEE': {
    options: realOptions(),
    whyNot,
    threads: Number(builtWith('CFG_NUM_THREADS') ?? 2),
    told: builtWith('CFG_CORE_SEL1_SPMC') === 'y' ? 0 : undefined,
    unregistered: without('CFG_CORE_DYN_SHM'),
  },
};

for (const [name, world] of Object.entries(worlds)) {
  const why = world.whyNot === undefined ? '' : ` (skipped: ${world.whyNot})`;
  describe.skipIf(world.whyNot !== undefined)(`on ${name}${why}`, () => {
    behaviourSuite(
      { describe, it, before: beforeAll, after: afterAll },
      { memref, none, temporary, value, TeecError },
      { name, identity, unregistered: world.unregistered, open: () => openTee({ ...world.options, identity }) },
    );
  });

  describe.skipIf(world.whyNot !== undefined)(`inside the driver, on ${name}${why}`, () => {
    let tee: Tee;
    let context: Context;
    /** Images of TAs come through it: opening a user TA stays inside secure world while it is shut. */
    let door: Door;

    beforeEach(async () => {
      door = new Door();
      const load = () => door.pass();
      tee = await openTee({
        ...world.options,
        supplicant: { taStores: [{ load }] },
        identity,
      });
      context = tee.openContext();
    });
    afterEach(async () => {
      door.open();
      await tee.close();
      expect(tee.sharedMemoryInUse, 'shared memory that nobody gave back').toBe(0);
    });

    it('has the thread contexts that it was built with', () => {
      expect(tee.info.threadCount).toBe(world.told ?? world.threads);
    });

    it('cancels a wait', async () => {
      await using session = await context.openSession(osTest);
      const cancel = new AbortController();
      const suspended = happened(tee, ({ type }) => type === 'rpc-begin');
      // Noticed only when the sleep in the normal world is over: it has to be short.
      const waiting = session.invoke(OsTestCommand.wait, [value.input(50)], { signal: cancel.signal });
      await suspended;
      cancel.abort();
      await expect(waiting).rejects.toEqual(error('ERROR_CANCEL', 'TRUSTED_APP'));
    });

    it('lets a call wait while all threads are held, and enter when one becomes free', async () => {
      await using session = await context.openSession(invokeTests);
      door.shut();
      const opening = [context.openSession(osTest)];
      await door.reached(1);
      // Wherever in secure world they come to wait, they hold the other threads.
      while (opening.length < world.threads) {
        const inside = happened(tee, ({ type }) => type === 'world-enter');
        opening.push(context.openSession(osTest));
        await inside;
      }
      let entered = false;
      const invoked = session.invoke(params, [value.inout(1, 2)]).then((outputs) => {
        entered = true;
        return outputs;
      });
      await new Promise(setImmediate);
      const { lists } = tee.queueState();
      const wasEntered = entered;
      door.open();
      expect(lists).toMatchObject({ normal_waiters: [{ phase: 'asleep-claim' }] });
      expect(wasEntered).toBe(false);
      expect(await invoked).toEqual([{ a: 3, b: 2 }]);
      for (const opened of await Promise.all(opening)) await opened.close();
    });

    it('lets a system session enter while normal calls hold all other threads', async () => {
      await using kernel = tee.openKernelContext();
      await using system = await kernel.openSession(invokeTests);
      expect(system.systemSession()).toBe(true);
      door.shut();
      const opening = [context.openSession(osTest)];
      await door.reached(1);
      while (opening.length < world.threads) opening.push(context.openSession(osTest));
      for (let call = 0; call < 3; call++)
        expect(await system.invoke(params, [value.inout(call, 2)])).toEqual([{ a: call + 2, b: 2 }]);
      expect(door.waiting, 'one normal call has to wait: one thread is in reserve').toBeLessThan(world.threads);
      expect(tee.queueState().lists).toMatchObject({ normal_waiters: [{ phase: 'asleep-claim' }] });
      door.open();
      for (const opened of await Promise.all(opening)) await opened.close();
    });

    it('kills a client in a wait: it is cancelled, the session closes, and the next client is served', async () => {
      const dying = tee.openContext();
      const session = await dying.openSession(osTest);
      const asleep = happened(tee, (event) => event.type === 'rpc-begin' && event.command === RpcCommand.suspend);
      // The application sleeps again and again until that long has passed, or it is cancelled.
      const waiting = session.invoke(OsTestCommand.wait, [value.input(50)]);
      await asleep;
      const killed = dying.kill();
      await expect(waiting).rejects.toEqual(error('ERROR_CANCEL', 'TRUSTED_APP'));
      await killed;
      await using next = await context.openSession(osTest);
      expect(await next.invoke(OsTestCommand.getGlobalVar, [value.output()])).toHaveLength(1);
    });

    it('has no SCMI service, which an agent reports', async () => {
      await expect(ScmiAgent.open(tee)).rejects.toEqual(error('ERROR_ITEM_NOT_FOUND', 'TEE'));
    });
  });
}
