import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/clock/random.js';
import { OpteeMsgAttr, OpteeMsgCmd } from '../../../src/protocol/optee-msg.js';
import { TeeOrigin, TeeResult } from '../../../src/protocol/tee-result.js';
import type { TaCall, UserTa } from '../../../src/worlds/simulated/index.js';
import {
  CounterCommand,
  counterTa,
  StorageCommand,
  simulatedTaImage,
  storageTa,
  TeeError,
  trustedApplication,
  WorkloadCommand,
  workloadPta,
} from '../../../src/worlds/simulated/index.js';
import { board } from './board.js';
import type { NormalWorld } from './normal-world.js';
import { value } from './normal-world.js';

const input = (a: number) => value(a, 0, OpteeMsgAttr.valueInput);

async function openFailing(normal: NormalWorld, uuid: string) {
  const { address, message } = normal.openMessage(uuid);
  await normal.call(address);
  return { ret: message.ret, retOrigin: message.retOrigin, session: message.session };
}

/** A user TA that waits as long as the first value says. */
function waiting(flags: Pick<UserTa, 'singleInstance' | 'multiSession' | 'keepAlive'>, last = 'd1') {
  const created: number[] = [];
  const ta = trustedApplication({
    uuid: `00000000-0000-0000-0000-0000000000${last}`,
    name: 'waiting',
    kind: 'user',
    ...flags,
    create() {
      const instance = created.push(0) - 1;
      return {
        async invokeCommand(call) {
          created[instance] = (created[instance] ?? 0) + 1;
          await call.wait(call.value(0).a);
          return TeeResult.SUCCESS;
        },
      };
    },
  });
  return { ta, created };
}

describe('a user TA', () => {
  test('is loaded through the supplicant, by size first, and its memory given back', async () => {
    const { normal, supplicant, world } = board({ trustedApplications: [counterTa] });
    const session = await normal.open(counterTa.uuid);
    expect(supplicant.asked).toEqual(['LOAD_TA', 'SHM_ALLOC', 'LOAD_TA', 'SHM_FREE']);
    expect(normal.allocated.size).toBe(0);
    expect((await normal.invoke(session, CounterCommand.add, [value(3)])).a(0)).toBe(3);
    await normal.close(session);
    expect(world.sharedMemoryCount).toBe(0);
  });

  const image = () => simulatedTaImage(counterTa);
  const changed = (index: number) => image().map((byte, at) => (at === index ? byte ^ 1 : byte));
  test.each<[string, Uint8Array | undefined, number]>([
    ['absent', undefined, TeeResult.ERROR_ITEM_NOT_FOUND],
    ['empty', new Uint8Array(), TeeResult.ERROR_OUT_OF_MEMORY],
    ['too short', image().subarray(0, 31), TeeResult.ERROR_SECURITY],
    ['of a real OP-TEE', Uint8Array.from([0x48, 0x53, 0x54, 0x4f, ...image()]), TeeResult.ERROR_SECURITY],
    ['of another version', changed(4), TeeResult.ERROR_BAD_FORMAT],
    ['with a wrong digest', changed(8), TeeResult.ERROR_SECURITY],
    ['with a wrong length', changed(12), TeeResult.ERROR_SECURITY],
    ['damaged in its UUID', changed(20), TeeResult.ERROR_SECURITY],
    ['damaged in its payload', changed(33), TeeResult.ERROR_SECURITY],
    ['cut', image().subarray(0, 34), TeeResult.ERROR_SECURITY],
    ['that of another TA', simulatedTaImage(storageTa), TeeResult.ERROR_SECURITY],
  ])('whose image is %s does not open', async (_, bytes, ret) => {
    const { normal, supplicant, world } = board({ trustedApplications: [counterTa] });
    supplicant.files.clear();
    if (bytes !== undefined) supplicant.files.set(`${counterTa.uuid}.ta`, bytes);
    expect(await openFailing(normal, counterTa.uuid)).toEqual({ ret, retOrigin: TeeOrigin.TEE, session: 0 });
    expect([normal.allocated.size, world.sharedMemoryCount, world.sessionCount]).toEqual([0, 0, 0]);
    supplicant.files.set(`${counterTa.uuid}.ta`, image());
    await normal.open(counterTa.uuid);
  });

  test('without code in the simulation does not open, and the log says why', async () => {
    const { normal, supplicant, events } = board();
    supplicant.files.set(`${counterTa.uuid}.ta`, image());
    expect(await openFailing(normal, counterTa.uuid)).toMatchObject({ ret: TeeResult.ERROR_NOT_SUPPORTED });
    expect(events).toContainEqual({
      type: 'log',
      text: `the image of ${counterTa.uuid} was loaded, but the simulation has no code for it`,
    });
  });
});

describe('instances', () => {
  test('of a multi-instance TA: one per session', async () => {
    const { ta, created } = waiting({});
    const { normal } = board({ trustedApplications: [ta] });
    const sessions = [await normal.open(ta.uuid), await normal.open(ta.uuid)];
    for (const session of sessions) await normal.invoke(session, 0, [input(0)]);
    expect(created).toEqual([1, 1]);
  });

  test('of a single-instance TA: one for all sessions, created again after the last', async () => {
    const { ta, created } = waiting({ singleInstance: true, multiSession: true });
    const { normal, supplicant } = board({ trustedApplications: [ta] });
    const sessions = [await normal.open(ta.uuid), await normal.open(ta.uuid)];
    for (const session of sessions) await normal.invoke(session, 0, [input(0)]);
    expect(created).toEqual([2]);
    for (const session of sessions) await normal.close(session);
    await normal.open(ta.uuid);
    expect(supplicant.asked.filter((asked) => asked === 'LOAD_TA')).toHaveLength(4);
  });

  test('that are kept alive outlive their sessions', async () => {
    const { ta, created } = waiting({ singleInstance: true, keepAlive: true });
    const { normal } = board({ trustedApplications: [ta] });
    for (let round = 0; round < 3; round++) {
      const session = await normal.open(ta.uuid);
      await normal.invoke(session, 0, [input(0)]);
      await normal.close(session);
    }
    expect(created).toEqual([3]);
  });

  test('with a single session are BUSY for a second one', async () => {
    const { ta } = waiting({ singleInstance: true });
    const { normal } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    expect(await openFailing(normal, ta.uuid)).toEqual({
      ret: TeeResult.ERROR_BUSY,
      retOrigin: TeeOrigin.TEE,
      session: 0,
    });
    await normal.close(session);
    await normal.open(ta.uuid);
  });

  test('opened while another thread loads the TA wait for that', async () => {
    const { ta, created } = waiting({ singleInstance: true, multiSession: true });
    const { normal, supplicant, finish } = board({ trustedApplications: [ta] });
    const sessions = await finish(Promise.all([normal.open(ta.uuid), normal.open(ta.uuid)]));
    expect(new Set(sessions).size).toBe(2);
    expect(supplicant.asked.filter((asked) => asked === 'LOAD_TA')).toHaveLength(2);
    expect(supplicant.asked).toContain('NOTIFICATION WAIT 65');
    expect(created).toEqual([0]);
  });
});

describe('concurrent execution', () => {
  const run = async (first: UserTa | undefined, second: UserTa | undefined) => {
    const tas = [first, second].filter((ta) => ta !== undefined);
    const { normal, clock, finish, supplicant } = board({ trustedApplications: [...tas, workloadPta] });
    const sessions: number[] = [];
    for (const ta of [first, second]) sessions.push(await normal.open(ta?.uuid ?? workloadPta.uuid));
    supplicant.asked.length = 0;
    const [one = 0, two = 0] = sessions;
    await finish(
      Promise.all([
        normal.invoke(one, WorkloadCommand.wait, [input(10)]),
        normal.invoke(two, WorkloadCommand.wait, [input(10)]),
      ]),
    );
    return { elapsed: clock.now(), asked: supplicant.asked };
  };
  const user = (flags: Parameters<typeof waiting>[0], last?: string) => waiting(flags, last).ta as UserTa;

  test('in one instance: one session at a time, the other sleeps in the normal world', async () => {
    const ta = user({ singleInstance: true, multiSession: true });
    expect(await run(ta, ta)).toEqual({
      elapsed: 20,
      asked: ['SUSPEND', 'NOTIFICATION WAIT 65', 'NOTIFICATION SEND 65', 'SUSPEND'],
    });
  });

  test('in single-instance TAs: one of them at a time, as OP-TEE has one lock for all', async () => {
    const flags = { singleInstance: true };
    expect((await run(user(flags, 'd1'), user(flags, 'd2'))).elapsed).toBe(20);
  });

  test('in instances of their own, and in a concurrent PTA: all', async () => {
    expect((await run(user({}, 'd1'), user({}, 'd2'))).elapsed).toBe(10);
    expect((await run(undefined, undefined)).elapsed).toBe(10);
  });

  test('in one session: one call at a time', async () => {
    const { normal, clock, finish } = board({ trustedApplications: [workloadPta] });
    const session = await normal.open(workloadPta.uuid);
    const calls = [10, 10].map((ms) => normal.invoke(session, WorkloadCommand.wait, [input(ms)]));
    await finish(Promise.all(calls));
    expect(clock.now()).toBe(20);
  });

  test('with a spurious wake-up nothing changes', async () => {
    const { normal, clock, finish, supplicant } = board({ trustedApplications: [workloadPta] });
    const session = await normal.open(workloadPta.uuid);
    const calls = [10, 10].map((ms) => normal.invoke(session, WorkloadCommand.wait, [input(ms)]));
    clock.setTimer(5, () => supplicant.wake(65));
    await finish(Promise.all(calls));
    expect(clock.now()).toBe(20);
    expect(supplicant.asked.filter((asked) => asked === 'NOTIFICATION WAIT 65')).toHaveLength(2);
  });

  test('with a mutex: the others wait for it in the normal world', async () => {
    const { normal, clock, finish, supplicant } = board({ trustedApplications: [workloadPta], threads: 3 });
    const sessions = [
      await normal.open(workloadPta.uuid),
      await normal.open(workloadPta.uuid),
      await normal.open(workloadPta.uuid),
    ];
    await finish(
      Promise.all(sessions.map((session) => normal.invoke(session, WorkloadCommand.holdMutex, [input(10)]))),
    );
    expect(clock.now()).toBe(30);
    expect(supplicant.asked.filter((asked) => asked.includes('SEND'))).toEqual([
      'NOTIFICATION SEND 65',
      'NOTIFICATION SEND 66',
    ]);
  });
});

describe('a panic', () => {
  test('kills the instance for all its sessions; a new one opens afterwards', async () => {
    const { normal, events, world } = board({ trustedApplications: [counterTa] });
    const sessions = [await normal.open(counterTa.uuid), await normal.open(counterTa.uuid)] as const;
    const dead = { ret: TeeResult.ERROR_TARGET_DEAD, retOrigin: TeeOrigin.TEE };
    expect(await normal.invoke(sessions[0], CounterCommand.panic, [input(0x1234)])).toMatchObject(dead);
    expect(events).toContainEqual(expect.objectContaining({ type: 'panic', uuid: counterTa.uuid, code: 0x1234 }));
    for (const session of sessions)
      expect(await normal.invoke(session, CounterCommand.add, [value(1)])).toMatchObject(dead);
    const fresh = await normal.open(counterTa.uuid);
    expect((await normal.invoke(fresh, CounterCommand.add, [value(1)])).a(0)).toBe(1);
    for (const session of [...sessions, fresh]) expect((await normal.close(session)).ret).toBe(TeeResult.SUCCESS);
    expect(world.sessionCount).toBe(0);
  });

  test('wakes calls that wait for the instance, with TARGET_DEAD', async () => {
    const { normal, finish } = board({ trustedApplications: [dying] });
    const sessions = [await normal.open(dying.uuid), await normal.open(dying.uuid)];
    const calls = await finish(Promise.all(sessions.map((session) => normal.invoke(session, 0))));
    expect(calls.map((message) => message.ret)).toEqual([TeeResult.ERROR_TARGET_DEAD, TeeResult.ERROR_TARGET_DEAD]);
  });

  const dying = trustedApplication({
    uuid: '00000000-0000-0000-0000-0000000000e1',
    kind: 'user',
    singleInstance: true,
    multiSession: true,
    create: () => ({
      async invokeCommand(call) {
        await call.wait(5);
        call.panic(1);
      },
    }),
  });

  test.each<[string, (call: TaCall) => unknown]>([
    [
      'throws an error of its own',
      () => {
        throw new Error('a bug');
      },
    ],
    ['reads outside its memref', (call) => call.memref(0).read(0, 9)],
    ['writes outside its memref', (call) => call.memref(0).write(new Uint8Array(1), 8)],
    ['writes to an input memref', (call) => call.memref(0).write(new Uint8Array(1))],
    ['returns before it is done', (call) => void call.wait(1)],
    ['asks for two things at a time', (call) => Promise.all([call.wait(1), call.wait(1)])],
  ])('is what a user TA gets that %s', async (_, misbehave) => {
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000e2',
      kind: 'user',
      create: () => ({
        async invokeCommand(call) {
          await misbehave(call);
        },
      }),
    });
    const { normal, world, finish } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    const memref = { attr: OpteeMsgAttr.tmemInput, a: normal.allocate(), b: 8 };
    expect(await finish(normal.invoke(session, 0, [memref]))).toMatchObject({
      ret: TeeResult.ERROR_TARGET_DEAD,
      retOrigin: TeeOrigin.TEE,
    });
    expect(world.threads.map(({ state }) => state)).toEqual(['free', 'free']);
    // The context that it ran in serves the next call.
    expect(await finish(normal.invoke(session, 0, [memref]))).toMatchObject({ ret: TeeResult.ERROR_TARGET_DEAD });
  });

  test('at the end of an instance affects no other session', async () => {
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000e4',
      kind: 'user',
      create: () => ({
        invokeCommand() {},
        destroy() {
          throw new Error('a bug at the end');
        },
      }),
    });
    const { normal, events } = board({ trustedApplications: [ta] });
    expect((await normal.close(await normal.open(ta.uuid))).ret).toBe(TeeResult.SUCCESS);
    expect(events).toContainEqual(expect.objectContaining({ type: 'panic', uuid: ta.uuid }));
    await normal.open(ta.uuid);
  });

  test('of a pseudo-TA is the end of OP-TEE', async () => {
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000e3',
      name: 'faulty',
      kind: 'pseudo',
      create: () => ({
        invokeCommand() {
          throw new Error('a bug in the core');
        },
      }),
    });
    const { normal } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    const dead = { name: 'ConduitError', message: expect.stringContaining('faulty panicked') };
    await expect(normal.invoke(session, 0)).rejects.toMatchObject(dead);
    await expect(normal.open(ta.uuid)).rejects.toMatchObject(dead);
  });
});

describe('the result of an application', () => {
  const ta = trustedApplication({
    uuid: '00000000-0000-0000-0000-0000000000f1',
    kind: 'pseudo',
    create: () => ({
      openSession(call) {
        if (call.parameters[0]?.type === 'value') throw new TeeError(TeeResult.ERROR_ACCESS_DENIED);
      },
      async invokeCommand(call) {
        if (call.command === 0) return TeeResult.ERROR_SHORT_BUFFER;
        if (call.command === 1) throw new TeeError(TeeResult.ERROR_NO_DATA);
        return void call.memref(0);
      },
    }),
  });

  test('reaches the client with its origin', async () => {
    const { normal } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    const results = [];
    for (const command of [0, 1, 2]) results.push(await normal.invoke(session, command));
    expect(results.map(({ ret, retOrigin }) => [ret, retOrigin])).toEqual([
      [TeeResult.ERROR_SHORT_BUFFER, TeeOrigin.TRUSTED_APP],
      [TeeResult.ERROR_NO_DATA, TeeOrigin.TRUSTED_APP],
      [TeeResult.ERROR_BAD_PARAMETERS, TeeOrigin.TRUSTED_APP],
    ]);
  });

  test('from opening a session keeps it closed', async () => {
    const { normal, world } = board({ trustedApplications: [ta] });
    const { address, message } = normal.openMessage(ta.uuid, [value(1)]);
    await normal.call(address);
    expect([message.ret, message.retOrigin, message.session]).toEqual([
      TeeResult.ERROR_ACCESS_DENIED,
      TeeOrigin.TRUSTED_APP,
      0,
    ]);
    expect(world.sessionCount).toBe(0);
  });
});

describe('cancellation', () => {
  async function cancelWait(unmask: boolean) {
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000f2',
      kind: 'user',
      create: () => ({
        async invokeCommand(call) {
          if (unmask) call.unmaskCancellation();
          for (let round = 0; round < 10; round++) await call.wait(10);
        },
      }),
    });
    const { normal, clock, finish } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    const cancel = normal.message(OpteeMsgCmd.cancel, []);
    cancel.message.session = session;
    clock.setTimer(25, () => void normal.call(cancel.address));
    const message = await finish(normal.invoke(session, 0));
    return {
      ret: message.ret,
      origin: message.retOrigin,
      after: clock.now(),
      cancelled: cancel.message.ret,
      normal,
      session,
      finish,
    };
  }

  test('ends a wait that unmasked it, when its current sleep is over', async () => {
    const { ret, origin, after, cancelled } = await cancelWait(true);
    expect([ret, origin, after, cancelled]).toEqual([TeeResult.ERROR_CANCEL, TeeOrigin.TRUSTED_APP, 30, 0]);
  });

  test('does nothing while it is masked', async () => {
    const { ret, after, cancelled } = await cancelWait(false);
    expect([ret, after, cancelled]).toEqual([TeeResult.SUCCESS, 100, 0]);
  });

  test('does not reach the next operation', async () => {
    const { normal, session, finish } = await cancelWait(true);
    expect((await finish(normal.invoke(session, 0))).ret).toBe(TeeResult.SUCCESS);
  });
});

describe('the services of a call', () => {
  test("time is from the normal world, or from secure world's counter", async () => {
    const times: number[] = [];
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000f3',
      kind: 'user',
      create: () => ({
        async invokeCommand(call) {
          await call.compute(1500);
          times.push(call.systemTime(), await call.reeTime());
        },
      }),
    });
    const { normal, clock, finish } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    await finish(normal.invoke(session, 0));
    expect(times).toEqual([1500, clock.wallClock()]);
  });

  test('waits are rounded up to a millisecond', async () => {
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000f4',
      kind: 'pseudo',
      create: () => ({ invokeCommand: (call) => call.wait(2.25) }),
    });
    const { normal, clock, finish, supplicant } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    await finish(normal.invoke(session, 0));
    expect([clock.now(), supplicant.asked]).toEqual([3, ['SUSPEND']]);
  });

  test.each([
    [Number.POSITIVE_INFINITY, 40 * 86_400_000, ['SUSPEND'], false],
    [2 ** 32 + 5, 2 ** 32 + 5, ['SUSPEND', 'SUSPEND'], true],
    [2 ** 40, 2 ** 33, ['SUSPEND', 'SUSPEND', 'SUSPEND'], false],
  ])('a wait of %d ms sleeps as long as the ABI can say, again and again', async (ms, passes, asked, ends) => {
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000f6',
      kind: 'pseudo',
      create: () => ({ invokeCommand: (call) => call.wait(ms) }),
    });
    const { normal, clock, supplicant } = board({ trustedApplications: [ta] });
    const session = await normal.open(ta.uuid);
    let ended = false;
    void normal.invoke(session, 0).then(() => {
      ended = true;
    });
    await clock.advance(passes);
    expect([supplicant.asked, ended]).toEqual([asked, ends]);
  });

  test('a notification is waited for as long as was said, or not at all', async () => {
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000f7',
      kind: 'pseudo',
      create: () => ({
        async invokeCommand(call) {
          for (const [value, ms] of [
            [1, 2 ** 32 + 5],
            [2 ** 32 + 1, 5],
            [1, -1],
            [1, 0.5],
          ] as const)
            await expect(call.waitForNotification(value, ms)).rejects.toThrow(/allowed: integers from 0 to 4294967295/);
        },
      }),
    });
    const { normal, supplicant, finish } = board({ trustedApplications: [ta] });
    await finish(normal.invoke(await normal.open(ta.uuid), 0));
    expect(supplicant.asked).toEqual([]);
  });

  test('random numbers are from the generator of the world', async () => {
    const drawn: number[][] = [];
    const ta = trustedApplication({
      uuid: '00000000-0000-0000-0000-0000000000f5',
      kind: 'pseudo',
      create: () => ({
        invokeCommand(call) {
          drawn.push([...call.random(16)]);
        },
      }),
    });
    for (const seed of [1, 1, 2]) {
      const { normal } = board({ trustedApplications: [ta], random: seededRandom(seed) });
      await normal.invoke(await normal.open(ta.uuid), 0);
    }
    expect(drawn[1]).toEqual(drawn[0]);
    expect(drawn[2]).not.toEqual(drawn[0]);
  });

  test('objects are stored in files and read again', async () => {
    const { normal, world, supplicant } = board({ trustedApplications: [storageTa] });
    const session = await normal.open(storageTa.uuid);
    const memory = (attr: number, text: string, size = text.length) => {
      const address = normal.allocate();
      world.memory.window(address, text.length).set(new TextEncoder().encode(text));
      return { attr, a: address, b: size };
    };
    const { tmemInput, tmemOutput } = OpteeMsgAttr;
    const name = memory(tmemInput, 'key');
    const write = await normal.invoke(session, StorageCommand.write, [name, memory(tmemInput, 'secret')]);
    expect(write.ret).toBe(TeeResult.SUCCESS);
    expect(supplicant.files.get('/storage-key')).toEqual(new TextEncoder().encode('secret'));

    const target = memory(tmemOutput, '', 100);
    const read = await normal.invoke(session, StorageCommand.read, [name, target]);
    expect([read.ret, read.b(1)]).toEqual([TeeResult.SUCCESS, 6]);
    expect(new TextDecoder().decode(world.memory.window(target.a, 6))).toBe('secret');
    const short = await normal.invoke(session, StorageCommand.read, [name, memory(tmemOutput, '', 5)]);
    expect([short.ret, short.b(1)]).toEqual([TeeResult.ERROR_SHORT_BUFFER, 6]);

    expect((await normal.invoke(session, StorageCommand.remove, [name])).ret).toBe(TeeResult.SUCCESS);
    expect((await normal.invoke(session, StorageCommand.read, [name, target])).ret).toBe(
      TeeResult.ERROR_ITEM_NOT_FOUND,
    );
    const outside = memory(tmemInput, '../key');
    expect((await normal.invoke(session, StorageCommand.remove, [outside])).ret).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    expect([normal.allocated.size, world.sharedMemoryCount]).toEqual([0, 0]);
  });

  test('the counter counts per session and in all', async () => {
    const { normal } = board({ trustedApplications: [counterTa] });
    const sessions = [await normal.open(counterTa.uuid), await normal.open(counterTa.uuid)] as const;
    await normal.invoke(sessions[0], CounterCommand.add, [value(5)]);
    const message = await normal.invoke(sessions[1], CounterCommand.add, [value(2)]);
    expect([message.a(0), message.b(0)]).toEqual([2, 7]);
  });
});
