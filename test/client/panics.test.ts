import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  openTee,
  type ReeFileSystem,
  type TaCall,
  type TeecError,
  TeeError,
  TeeResult,
  temporary,
  trustedApplication,
  value,
} from '../../src/index.js';

const uuid = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a11';

const application = (kind: 'user' | 'pseudo') =>
  trustedApplication({
    uuid,
    kind,
    create: () => ({
      openSession(call) {
        if (call.parameters[0] !== undefined) throw new RangeError('a bug at the door');
      },
      invokeCommand(call) {
        if (call.command === 1) throw new TypeError('a bug');
        call.panic(0xdead);
      },
    }),
  });

const failure = (promise: Promise<unknown>): Promise<TeecError> =>
  promise.then(
    () => {
      throw new Error('nothing failed');
    },
    (error: TeecError) => error,
  );

it.each(['smc', 'ffa'] as const)(
  'the call that fails because of a TA panic gets the panic code, over %s',
  async (abi) => {
    const tee = await openTee({ trustedApplications: [application('user')], simulated: { abi } });
    const session = await tee.openContext().openSession(uuid);
    const error = await failure(session.invoke(2));
    expect(error.code).toBe(TeeResult.ERROR_TARGET_DEAD);
    expect(error.message).toContain('the application panicked with code 0xdead');
    // And so is every later one.
    expect((await failure(session.invoke(2))).message).toContain('code 0xdead');
    await tee.close();
  },
);

it('the call that fails because of an exception in a TypeScript TA gets its name and message', async () => {
  const tee = await openTee({ trustedApplications: [application('user')] });
  const context = tee.openContext();
  const session = await context.openSession(uuid);
  const error = await failure(session.invoke(1));
  expect(error.message).toContain('TypeError: a bug');
  expect(error.panic).toMatchObject({ uuid, why: 'TypeError: a bug' });
  expect(inspect(error).match(/a bug/g)).toHaveLength(1);
  const opening = await failure(context.openSession(uuid, { parameters: [value.input(1)] }));
  expect(opening.code).toBe(TeeResult.ERROR_TARGET_DEAD);
  expect(opening.message).toContain('RangeError: a bug at the door');
  await tee.close();
});

it('an exception in a pseudo-TA, which ends OP-TEE, is reported as well', async () => {
  const tee = await openTee({ trustedApplications: [application('pseudo')] });
  const session = await tee.openContext().openSession(uuid);
  const error = await failure(session.invoke(1));
  expect(error.message).toMatch(/panicked, and with it OP-TEE: TypeError: a bug/);
  // Once, and what was thrown itself, with its stack.
  expect(inspect(error).match(/and with it OP-TEE/g)).toHaveLength(1);
  expect(inspect(error).match(/\[cause\]: .*/g)).toEqual([
    '[cause]: ConduitError: the simulated secure world is dead',
    '[cause]: TypeError: a bug',
  ]);
  await tee.close().catch(() => undefined);
});

it('a panic because a service failed is reported with both: what failed, and the panic code', async () => {
  const open = () => {
    throw new Error('the disk is gone');
  };
  const fileSystem: ReeFileSystem = { open, create: open, remove: open, rename: open, list: open };
  const tee = await openTee({
    supplicant: { fileSystem },
    trustedApplications: [
      trustedApplication({
        uuid,
        kind: 'user',
        create: () => ({
          invokeCommand: (call) =>
            call.files.open('object').then(
              () => undefined,
              () => call.panic(0xdead),
            ),
        }),
      }),
    ],
  });
  const error = await failure((await tee.openContext().openSession(uuid)).invoke(1));
  expect(error.message).toContain('the disk is gone');
  expect(error.message).toContain('the application panicked with code 0xdead');
  await tee.close();
});

describe('what an application in TypeScript does wrong', () => {
  const other = '3b6e2f60-6c0b-4a8e-9d1c-2f1f6a3f8a12';
  const evil = {
    throwingMessage: () => Object.defineProperty(new Error(), 'message', { get: () => raise(1) }),
    proxy: () =>
      new Proxy(new Error('p'), {
        get: () => raise(new Error('a trap')),
        getPrototypeOf: () => raise(new Error('a trap')),
      }),
    withoutText: () => ({ toString: null }),
  };
  const raise = (thrown: unknown): never => {
    throw thrown;
  };
  const wrongs: Readonly<Record<string, (call: TaCall) => unknown>> = {
    'returns true': () => true,
    'returns an object': () => ({}),
    'returns a text': () => 'x',
    'returns a bigint': () => 5n,
    'returns a symbol': () => Symbol('x'),
    'returns NaN': () => Number.NaN,
    'returns -1': () => -1,
    'returns 2^53': () => 2 ** 53,
    'returns a promise of true': async () => true,
    'returns what cannot be awaited': () => Object.defineProperty({}, 'then', { get: () => raise('no') }),
    'returns what rejects with something without a text': () => Promise.reject(evil.withoutText()),
    'throws an error whose message throws': () => raise(evil.throwingMessage()),
    'throws a Proxy whose traps throw': () => raise(evil.proxy()),
    'throws what has no text': () => raise(evil.withoutText()),
    'throws a result that is none': () => raise(new TeeError(-5)),
    'sets a value to NaN': (call) => set(call, Number.NaN),
    'sets a value to a fraction': (call) => set(call, 0.5),
    'sets a value to 2^60': (call) => set(call, 2 ** 60),
    'sets a value to a text': (call) => set(call, 'z'),
    'sets a value to a bigint': (call) => set(call, 5n),
    'sets a value to a bigint, and answers with an error': (call) => {
      set(call, 5n);
      throw new TeeError(TeeResult.ERROR_BAD_PARAMETERS);
    },
    'sets a size to -1': (call) => {
      (call.parameters[1] as { size: number }).size = -1;
    },
  };
  const set = (call: TaCall, a: unknown) => {
    (call.parameters[0] as { a: unknown }).a = a;
  };

  it.each(Object.keys(wrongs))('is its panic, and no other application notices: it %s', async (wrong) => {
    const tee = await openTee({
      trustedApplications: [
        trustedApplication({
          uuid,
          kind: 'user',
          create: () => ({ invokeCommand: wrongs[wrong] as (call: TaCall) => undefined }),
        }),
        trustedApplication({
          uuid: other,
          kind: 'user',
          create: () => ({
            invokeCommand(call) {
              call.value(0).a += 1;
            },
          }),
        }),
      ],
    });
    const context = tee.openContext();
    const innocent = await context.openSession(other);
    const session = await context.openSession(uuid);
    const error = await failure(session.invoke(1, [value.inout(1), temporary.inout(new Uint8Array(16))]));
    expect(error.code).toBe(TeeResult.ERROR_TARGET_DEAD);
    expect(await innocent.invoke(1, [value.inout(41)])).toEqual([{ a: 42, b: 0 }]);
    await tee.close();
  });

  it('is named in the error: the value that it returned or set', async () => {
    const tee = await openTee({
      trustedApplications: [
        trustedApplication({
          uuid,
          kind: 'user',
          create: () => ({
            invokeCommand: (call) =>
              call.command === 1 ? (true as unknown as undefined) : (set(call, 0.5) as undefined),
          }),
        }),
      ],
    });
    const context = tee.openContext();
    const returned = await failure((await context.openSession(uuid)).invoke(1));
    expect(returned.message).toContain('the application returned true; allowed: nothing, and a TEE_Result');
    const setting = await failure((await context.openSession(uuid)).invoke(2, [value.output()]));
    expect(setting.message).toContain('parameter 0: a is 0.5; allowed: integers');
    await tee.close();
  });
});
