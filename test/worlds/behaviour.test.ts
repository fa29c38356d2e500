import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Context,
  memref,
  none,
  type OpenTeeOptions,
  openTee,
  type Parameters,
  RpcCommand,
  type Tee,
  temporary,
  value,
} from '../../src/index.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { uuidVersion5 } from '../../src/protocol/uuid.js';
import { ScmiAgent } from '../../src/scmi/index.js';
import { Door } from '../support/door.js';
import { happened } from '../support/happened.js';
import {
  InvokeTestsCommand,
  invokeTests,
  OsTestCommand,
  opteeTestApplications,
  osTest,
  teeUuid,
} from '../support/optee-test-applications.js';
import { builtWith, named, realOptions, whyNot, without } from './qemu/real-optee.js';

const error = (name: keyof typeof TeeResult, origin: keyof typeof TeeOrigin) =>
  expect.objectContaining({ code: TeeResult[name], origin: TeeOrigin[origin] });

const { params } = InvokeTestsCommand;

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
        identity: { uid: 1000, gid: 100, groups: [100, 27] },
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

    it.each([0, 1, 2, 3])('adds a value that stands in parameter %i', async (index) => {
      await using session = await context.openSession(invokeTests);
      const parameters = [none, none, none, none].map((empty, at) =>
        at === index ? value.inout(0xffff_fff0, 0x20) : empty,
      ) as unknown as Parameters;
      const outputs: readonly unknown[] = await session.invoke(params, parameters);
      expect(outputs[index]).toEqual({ a: 0x10, b: 0x20 });
    });

    it('adds three values into a fourth', async () => {
      await using session = await context.openSession(invokeTests);
      const inputs = [value.input(1, 10), value.input(2, 20), value.input(3, 30)] as const;
      expect((await session.invoke(params, [value.output(), ...inputs]))[0]).toEqual({ a: 6, b: 60 });
      const [first, second, third] = inputs;
      expect((await session.invoke(params, [first, second, value.output(), third]))[2]).toEqual({ a: 6, b: 60 });
    });

    const sizes = [1, 2, 511, 4095, 4096, 4097, 8192, 65_536, 65_537, 300_001];
    it.each(sizes)('sums %i bytes of temporary memory', async (size) => {
      await using session = await context.openSession(invokeTests);
      const bytes = pattern(size);
      const expected = bytes.slice();
      expected[0] = sum(bytes);
      const [out] = await session.invoke(params, [temporary.inout(bytes)]);
      expect(Buffer.compare(out, expected)).toBe(0);
    });

    const summed = async (kind: 'allocated' | 'registered', offset: number, size: number) => {
      await using session = await context.openSession(invokeTests);
      await using memory = await (kind === 'allocated'
        ? context.allocateSharedMemory(20_000)
        : context.registerSharedMemory(new Uint8Array(20_000)));
      memory.bytes.set(pattern(20_000));
      const expected = pattern(20_000);
      expected[offset] = sum(expected.subarray(offset, offset + size));
      await session.invoke(params, [memref.inout(memory, { offset, size })]);
      expect(Buffer.compare(memory.bytes, expected)).toBe(0);
    };
    it.each([
      [0, 1],
      [1, 4096],
      [4095, 2],
      [4096, 4096],
      [8191, 9000],
    ])('sums a part of allocated memory, at %i, %i bytes, and touches nothing else', (offset, size) =>
      summed('allocated', offset, size),
    );
    it.skipIf(world.unregistered !== undefined).each([
      [0, 20_000],
      [3, 1],
      [4097, 8193],
    ])(
      named('sums a part of registered memory, at %i, %i bytes, and touches nothing else', world.unregistered),
      (offset, size) => summed('registered', offset, size),
    );

    it('passes a null memory reference', async () => {
      await using session = await context.openSession(invokeTests);
      await session.invoke(InvokeTestsCommand.memrefNull, [temporary.inout(null)]);
      await expect(session.invoke(InvokeTestsCommand.memrefNull, [temporary.inout(new Uint8Array(1))])).rejects.toEqual(
        error('ERROR_BAD_PARAMETERS', 'TRUSTED_APP'),
      );
    });

    it('says who refused wrong parameters and commands, and goes on', async () => {
      await using session = await context.openSession(invokeTests);
      const refused = error('ERROR_BAD_PARAMETERS', 'TRUSTED_APP');
      await expect(session.invoke(params, [value.input(1)])).rejects.toEqual(refused);
      await expect(session.invoke(params, [value.inout(1), value.inout(1)])).rejects.toEqual(refused);
      await expect(session.invoke(0xffff_ffff)).rejects.toEqual(refused);
      expect(await session.invoke(params, [value.inout(1, 2)])).toEqual([{ a: 3, b: 2 }]);
    });

    it('finds no trusted application that is not there', async () => {
      await expect(context.openSession('01234567-89ab-cdef-0123-456789abcdef')).rejects.toEqual(
        error('ERROR_ITEM_NOT_FOUND', 'TEE'),
      );
    });

    it('tells a trusted application who its client is', async () => {
      const namespace = '58ac9ca0-2086-4683-a1b8-ec4bc08e01b6';
      const logins = [
        [{ login: 'public' }, 0, '00000000-0000-0000-0000-000000000000'],
        [{ login: 'user' }, 1, uuidVersion5('uid=3e8', namespace)],
        [{ login: 'group', gid: 27 }, 2, uuidVersion5('gid=1b', namespace)],
      ] as const;
      for (const [login, loginClass, uuid] of logins) {
        await using session = await context.openSession(osTest, { login });
        const [identity, octets] = await session.invoke(OsTestCommand.clientIdentity, [
          value.output(),
          temporary.output(16),
        ]);
        expect(identity.a).toBe(loginClass);
        expect(octets).toEqual(teeUuid(uuid));
      }
    });

    it('keeps sessions apart, and gives each instance a life of its own', async () => {
      const sessions = await Promise.all(Array.from({ length: 4 }, () => context.openSession(osTest)));
      expect(new Set(sessions.map(({ id }) => id)).size).toBe(4);
      const values = await Promise.all(
        sessions.map((session) => session.invoke(OsTestCommand.getGlobalVar, [value.output()])),
      );
      expect(values).toEqual(Array.from({ length: 4 }, () => [{ a: 21, b: 0 }]));
      for (const session of sessions) await session.close();
    });

    it('reports a trusted application that panicked, each time, and leaves the others alone', async () => {
      await using other = await context.openSession(osTest);
      const session = await context.openSession(osTest);
      const dead = error('ERROR_TARGET_DEAD', 'TEE');
      await expect(session.invoke(OsTestCommand.panic, [value.input(0)])).rejects.toEqual(dead);
      await expect(session.invoke(OsTestCommand.getGlobalVar, [value.output()])).rejects.toEqual(dead);
      await session.close();
      expect(await other.invoke(OsTestCommand.getGlobalVar, [value.output()])).toEqual([{ a: 21, b: 0 }]);
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

    it('serves ten clients that wait on fewer threads', async () => {
      const sessions = await Promise.all(Array.from({ length: 10 }, () => context.openSession(osTest)));
      await Promise.all(sessions.map((session) => session.invoke(OsTestCommand.wait, [value.input(2)])));
      for (const session of sessions) await session.close();
    });

    it('lets a call wait while all threads are held, and in when one comes free', async () => {
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

    it('lets a system session in while normal calls hold all other threads', async () => {
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

    it('closes a context with calls in flight: they end, then its sessions', async () => {
      const other = tee.openContext();
      const session = await other.openSession(osTest);
      const waiting = session.invoke(OsTestCommand.wait, [value.input(5)]);
      await other.close();
      await waiting;
      await expect(session.invoke(OsTestCommand.wait, [value.input(5)])).rejects.toEqual(
        error('ERROR_BAD_STATE', 'COMMS'),
      );
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

    it('has no SCMI service: an agent is told so', async () => {
      await expect(ScmiAgent.open(tee)).rejects.toEqual(error('ERROR_ITEM_NOT_FOUND', 'TEE'));
    });

    it('lists the device that needs nothing', async () => {
      expect(await tee.devices()).toContainEqual({ uuid: invokeTests, needs: 'nothing' });
    });
  });
}

function pattern(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
}
