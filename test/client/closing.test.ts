import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import {
  openTee,
  RpcCommand,
  startSupplicant,
  type Tee,
  TeecError,
  TeeResult,
  trustedApplication,
} from '../../src/index.js';
import { RpcShmType } from '../../src/protocol/optee-rpc-command.js';
import { rpcValue, type SimulatedWorldOptions } from '../../src/testing.js';

const uuid = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11';
const hour = 3_600_000;
const Command = { wait: 1, waitUnmasked: 2, suspend: 3, notification: 4, never: 5, ask: 6, panic: 7, rpmb: 8 } as const;

const ta = trustedApplication({
  uuid,
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    async invokeCommand(call) {
      switch (call.command) {
        case Command.wait:
          return call.wait(hour);
        case Command.waitUnmasked:
          call.unmaskCancellation();
          return call.wait(hour);
        case Command.suspend:
          return call.rpc(RpcCommand.suspend, [rpcValue('input', 0xffff_ffff)]);
        case Command.notification:
          return call.waitForNotification(5);
        case Command.never:
          return new Promise<never>(() => {});
        case Command.ask:
          return call.rpc(RpcCommand.plugin, [rpcValue('input')]);
        case Command.panic:
          return call.panic(1);
        case Command.rpmb: {
          const memory = await call.allocateRpcMemory(1024, RpcShmType.kernel);
          await call.rpc(RpcCommand.rpmbProbeReset, [rpcValue('output')]);
          const cid = { type: 'memref', direction: 'output', mobj: memory.mobj, offset: 0, size: 16 } as const;
          await call.rpc(RpcCommand.rpmbProbeNext, [rpcValue('output'), { ...cid }]);
          return call.rpc(RpcCommand.rpmbFrames, [
            { ...cid, direction: 'input', size: 512 },
            { ...cid, offset: 512, size: 512 },
          ]);
        }
        default:
          return undefined;
      }
    },
  }),
});

async function open(options: { simulated?: Omit<SimulatedWorldOptions, 'clock'>; supplicantRequests?: 'wait' } = {}) {
  const clock = new VirtualClock();
  const { simulated, ...rest } = options;
  const deaf = {
    cid: new Uint8Array(16),
    sizeMultiplier: 1,
    reliableWriteSectors: 1,
    exchange: () => new Promise<Uint8Array>(() => {}),
  };
  const tee = await openTee({
    ...{ clock, supplicant: false, trustedApplications: [ta], rpmb: [deaf], ...rest },
    simulated: { threads: 3, ...simulated },
  });
  const context = tee.openContext({ label: 'shop' });
  return { clock, tee, context, session: await context.openSession(uuid) };
}

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

/** A call is where it waits. */
async function waiting(tee: Tee, what: RegExp): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    const { calls, inside } = tee.waiting();
    if ([...calls, ...inside].some(({ waitsFor }) => what.test(waitsFor))) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`nobody waits for ${what}: ${JSON.stringify(tee.waiting())}`);
}

const abis = [{ abi: 'smc' as const }, { abi: 'ffa' as const }];

describe('when secure world dies', () => {
  it.each([
    ['a notification', Command.notification, /notification 5/],
    ['the end of a sleep', Command.suspend, /sleep of 4294967295 ms/],
    ['a supplicant to come', Command.ask, /a supplicant to start: PLUGIN/],
    ['a card that does not answer', Command.rpmb, /RPMB_FRAMES/],
  ])('a call that waits for %s ends, and its client and the TEE close', async (_, command, what) => {
    for (const simulated of abis) {
      const { tee, context, session } = await open({ simulated });
      const other = await context.openSession(uuid);
      const called = messageOf(session.invoke(command));
      await waiting(tee, what);
      expect(await messageOf(other.invoke(Command.panic))).toContain('the simulated secure world is dead');
      expect(await called).toMatch(/the simulated secure world is dead.*TEEC_ERROR_COMMUNICATION/);
      expect(tee.waiting()).toEqual({ calls: [], supplicantRequests: [], notifications: [], inside: [], queued: [] });
      await messageOf(context.kill());
      await messageOf(tee.close());
    }
  });

  it('a call that waits for a thread, and a later call, end as well', async () => {
    const { tee, context, session } = await open({ simulated: { threads: 1 } });
    const other = await context.openSession(uuid);
    const called = [messageOf(session.invoke(Command.notification)), messageOf(other.invoke(Command.notification))];
    await waiting(tee, /notification 5/);
    // Nobody is inside: it dies of itself.
    await messageOf(tee.close({ graceMs: 0 }));
    for (const message of await Promise.all(called)) expect(message).toContain('TEEC_ERROR_COMMUNICATION');
  });
});

describe('the end of a TEE whose secure world is dead', () => {
  it.each([
    { abi: 'smc' as const, reservedShm: false as const },
    { abi: 'smc' as const, rpcArg: false },
    { abi: 'smc' as const },
    { abi: 'ffa' as const },
  ])('releases all resources, and reports errors: %j', { timeout: 15_000 }, async (simulated) => {
    const { tee, context, session } = await open({ simulated });
    const other = tee.openContext({ label: 'other' });
    const others = await other.openSession(uuid);
    await context.registerSharedMemory(new Uint8Array(10_000));
    await other.allocateSharedMemory(5000);
    // A message page more than the first.
    await Promise.all(Array.from({ length: 40 }, () => session.invoke(0)));
    // Memory that secure world holds.
    const calls = Array.from({ length: 2 }, () => messageOf(session.invoke(Command.rpmb)));
    await waiting(tee, /RPMB_FRAMES/);
    expect(await messageOf(others.invoke(Command.panic))).toContain('the simulated secure world is dead');
    for (const message of await Promise.all(calls)) expect(message).toContain('TEEC_ERROR_COMMUNICATION');
    expect(await messageOf(tee.close())).toMatch(/the simulated secure world is dead.*TEEC_ERROR_COMMUNICATION/);
    expect(tee.sharedMemoryInUse).toBe(0);
    expect(tee.waiting()).toEqual({ calls: [], supplicantRequests: [], notifications: [], inside: [], queued: [] });
  });

  it('makes every later request fail with a TEE error', async () => {
    for (const simulated of abis) {
      const { tee, context, session } = await open({ simulated });
      const memory = await context.allocateSharedMemory(5000);
      await messageOf(session.invoke(Command.panic));
      for (const late of [
        () => context.allocateSharedMemory(5000),
        () => context.registerSharedMemory(new Uint8Array(5000)),
        () => context.openSession(uuid),
        () => session.invoke(0),
        () => session.close(),
        () => tee.devices(),
      ])
        await expect(late(), String(late)).rejects.toBeInstanceOf(TeecError);
      await memory[Symbol.asyncDispose]();
      await messageOf(tee.close());
      expect(tee.sharedMemoryInUse).toBe(0);
    }
  });
});

describe("a client's death", () => {
  it('ends its TEE_Wait at once if the TA has unmasked cancellation', async () => {
    for (const simulated of abis) {
      const { clock, tee, context, session } = await open({ simulated });
      const called = messageOf(session.invoke(Command.waitUnmasked));
      await waiting(tee, /sleep/);
      await context.kill();
      expect(await called).toContain('TEEC_ERROR_CANCEL');
      expect(clock.now()).toBe(0);
      await tee.close();
    }
  });

  it('ends the sleep of its own call, and of no other', async () => {
    const { clock, tee, context, session } = await open();
    const other = await tee.openContext({ label: 'other' }).openSession(uuid);
    const called = messageOf(session.invoke(Command.suspend));
    const others = messageOf(other.invoke(Command.suspend));
    await waiting(tee, /sleep/);
    await context.kill();
    expect(await called).toBe('resolved');
    expect(tee.waiting().calls.map((call) => call.context)).toEqual(['other']);
    expect(clock.now()).toBe(0);
    void clock.run();
    expect(await tee.close()).toEqual([]);
    expect(await others).toBe('resolved');
  });
});

describe('the death of a client with a call that does not return', () => {
  it('is abandoned after fifteen seconds, and completed when the call returns', async () => {
    const { clock, tee, context, session } = await open();
    const called = messageOf(session.invoke(Command.notification));
    await waiting(tee, /notification 5/);
    let said = 'nothing';
    const killed = messageOf(context.kill()).then((message) => {
      said = message;
    });
    await clock.advance(14_999);
    expect(said).toBe('nothing');
    await clock.advance(1);
    await killed;
    expect(said).toBe(
      `closing shop: its calls did not return within 15000 ms (shop: its invoke of ${uuid} waits for notification 5): ` +
        'TEEC_ERROR_TIMEOUT (0xffff3001, origin COMMS)',
    );
    // The others go on meanwhile.
    const other = await tee.openContext().openSession(uuid);
    await other.invoke(0);
    await messageOf(tee.close({ graceMs: 0 }));
    expect(await called).toContain('TEEC_ERROR_COMMUNICATION');
  });
});

describe('closing the TEE', () => {
  it.each([
    ['sleeps without letting itself be cancelled', Command.wait, /the end of a sleep of 3600000 ms/],
    ['waits for a notification that nobody sends', Command.notification, /notification 5/],
    ['never answers', Command.never, /secure world to finish it/],
    ['waits for a card that does not answer', Command.rpmb, /RPMB_FRAMES/],
  ])('ends three seconds later with a TA that %s, and reports it', async (_, command, what) => {
    for (const simulated of abis) {
      const { clock, tee, session } = await open({ simulated });
      const marks: string[] = [];
      tee.trace.listen((event) => {
        if (event.type === 'mark') marks.push(event.text);
      });
      const called = messageOf(session.invoke(command));
      await waiting(tee, what);
      const closed = tee.close();
      await clock.run({ limitMs: 2999 });
      expect(marks).toEqual([]);
      await clock.advance(3000 - clock.now());
      const unfinished = await closed;
      expect(unfinished).toContainEqual(
        expect.objectContaining({ context: 'shop', purpose: 'invoke', waitsFor: expect.stringMatching(what) }),
      );
      expect(marks).toEqual([expect.stringMatching(what)]);
      expect(await called).toContain('TEEC_ERROR_COMMUNICATION');
    }
  });

  it('names the calls that wait for a thread', async () => {
    const { tee, context, session } = await open({ simulated: { threads: 1 } });
    const other = await context.openSession(uuid);
    const called = [messageOf(session.invoke(Command.never)), messageOf(other.invoke(Command.wait))];
    await waiting(tee, /to finish it/);
    const unfinished = await tee.close({ graceMs: 0 });
    expect(unfinished.map(({ waitsFor }) => waitsFor)).toEqual(
      expect.arrayContaining([
        'secure world to finish it',
        `a thread of secure world (in use by: shop's invoke of ${uuid})`,
      ]),
    );
    for (const message of await Promise.all(called)) expect(message).toContain('TEEC_ERROR_COMMUNICATION');
  });

  it('with graceMs 0 ends at once, whatever its calls do', async () => {
    for (const simulated of abis) {
      const { clock, tee, session } = await open({ simulated });
      const called = messageOf(session.invoke(Command.never));
      await waiting(tee, /to finish it/);
      const unfinished = await tee.close({ force: true });
      expect(unfinished).toHaveLength(1);
      expect(clock.now()).toBe(0);
      expect(await called).toContain('TEEC_ERROR_COMMUNICATION');
    }
  });

  it('without calls in flight reports none, and closes once', async () => {
    const { tee } = await open();
    const closed = tee.close();
    expect(await closed).toEqual([]);
    expect(tee.close()).toBe(closed);
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('refuses an unknown option and an invalid time', async () => {
    const { tee } = await open();
    expect(() => tee.close({ grace: 5 } as never)).toThrow(/no option "grace"/);
    expect(() => tee.close({ graceMs: -1 })).toThrow(/graceMs is -1/);
    expect(() => tee.close({ graceMs: 10n as unknown as number })).toThrow(/graceMs is 10; allowed: milliseconds/);
    expect(() => tee.close({ force: 1 } as never)).toThrow(/force is 1/);
    expect(() => tee.close({ force: true, graceMs: 5 })).toThrow(/force contradicts graceMs/);
    await tee.close();
  });
});

describe('a supplicant that detaches', () => {
  const busy = { services: new Map([[RpcCommand.plugin as number, () => new Promise<number>(() => {})]]) };

  /** Takes nothing: its requests wait. */
  const idle = (tee: Tee) => {
    tee.supplicantDevice.queue.attach();
    return () => tee.supplicantDevice.queue.detach();
  };

  it('fails the requests that it had not taken, as in Linux', async () => {
    const { tee, session } = await open();
    const leave = idle(tee);
    const called = session.invoke(Command.ask).catch((error) => error);
    await waiting(tee, /PLUGIN/);
    leave();
    const error = await called;
    expect(error.code).toBe(TeeResult.ERROR_COMMUNICATION);
    expect(error.message).toContain('the supplicant exited before it took this');
    await tee.close();
  });

  it('keeps them for the next supplicant with supplicantRequests: wait', async () => {
    const { tee, session } = await open({ supplicantRequests: 'wait' });
    const leave = idle(tee);
    const called = messageOf(session.invoke(Command.ask));
    await waiting(tee, /PLUGIN/);
    leave();
    startSupplicant(tee, { services: new Map([[RpcCommand.plugin as number, () => TeeResult.SUCCESS]]) });
    expect(await called).toBe('resolved');
    await tee.close();
  });

  it('fails the requests that it had taken in both cases', async () => {
    for (const options of [{}, { supplicantRequests: 'wait' as const }]) {
      const { tee, session } = await open(options);
      const supplicant = startSupplicant(tee, busy);
      const called = messageOf(session.invoke(Command.ask));
      await waiting(tee, /PLUGIN/);
      supplicant[Symbol.dispose]();
      expect(await called).toContain('the supplicant exited while it served this');
      await tee.close();
    }
  });
});
