import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Context,
  memref,
  openTee,
  type Session,
  type Tee,
  TeecError,
  TeeResult,
  trustedApplication,
  value,
} from '../../src/index.js';
import { optionMistake } from '../../src/known-options.js';
import { EmulatedEmmc, hmacSha256 } from '../../src/rpmb/index.js';
import { SimulatedWorld } from '../../src/testing.js';
import { Command, userTa } from '../support/applications.js';

let tee: Tee;
let context: Context;
let session: Session;
beforeAll(async () => {
  tee = await openTee({ trustedApplications: [userTa] });
  context = tee.openContext();
  session = await context.openSession(userTa.uuid);
});
afterAll(() => tee.close());

/** What JavaScript can write and the types would not let through. */
// biome-ignore lint/suspicious/noExplicitAny: that is what is tested.
const js = (value: unknown) => value as any;

describe('an unknown option is refused and named', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['openContext', () => tee.openContext(js({ lable: 'x' })), /there is no option "lable"; did you mean "label"\?/],
    ['openContext', () => tee.openContext(js({ uid: 1 })), /no option "uid"; allowed: label, identity/],
    ['openContext', () => tee.openContext(js('shop')), /options must be an object, not string/],
    ['openContext', () => tee.openContext(js(null)), /options must be an object, not null/],
    ['openContext', () => tee.openContext(js([])), /options must be an object, not an array/],
    ['openContext', () => tee.openContext(js({ label: 7 })), /label must be a string, not number/],
    ['openContext', () => tee.openContext(js({ identity: { uid: 1, gid: 1 } })), /groups must be an array/],
    [
      'openContext',
      () => tee.openContext(js({ identity: { uid: 1, gid: 1, group: [] } })),
      /no option "group"; did you mean "groups"/,
    ],
    ['openContext', () => tee.openContext({ identity: { uid: -1, gid: 1, groups: [] } }), /uid is -1/],
    ['openContext', () => tee.openContext({ identity: { uid: 1, gid: 0.5, groups: [] } }), /gid is 0.5/],
    [
      'openContext',
      () => tee.openContext({ identity: { uid: 1, gid: 1, groups: [2 ** 32] } }),
      /a group is 4294967296/,
    ],
    [
      'openKernelContext',
      () => tee.openKernelContext(js({ identity: undefined, label: 'x', system: true })),
      /no option "system"/,
    ],
    [
      'openSession',
      () => context.openSession(userTa.uuid, js({ paramters: [] })),
      /no option "paramters"; did you mean "parameters"/,
    ],
    ['openSession', () => context.openSession(userTa.uuid, js(null)), /options must be an object, not null/],
    ['openSession', () => context.openSession(js(42)), /not a UUID: 42/],
    ['openSession', () => context.openSession(js(undefined)), /not a UUID: undefined/],
    [
      'login',
      () => context.openSession(userTa.uuid, js({ login: { login: 'application' } })),
      /login "application"; allowed: \{ login: 'public' \}/,
    ],
    ['login', () => context.openSession(userTa.uuid, js({ login: 'user' })), /login "user"; allowed/],
    ['login', () => context.openSession(userTa.uuid, js({ login: null })), /login null; allowed/],
    ['login', () => context.openSession(userTa.uuid, js({ login: {} })), /login undefined; allowed/],
    ['login', () => context.openSession(userTa.uuid, js({ login: 10n })), /login 10; allowed/],
    [
      'login',
      () => context.openSession(userTa.uuid, js({ login: { login: 'toString' } })),
      /login "toString"; allowed/,
    ],
    [
      'login',
      () => context.openSession(userTa.uuid, js({ login: { login: 'user', gid: 1 } })),
      /login 'user': there is no option "gid"/,
    ],
    ['login', () => context.openSession(userTa.uuid, js({ login: { login: 'group' } })), /gid is undefined/],
    ['login', () => context.openSession(userTa.uuid, js({ login: { login: 'group', gid: -1 } })), /gid is -1/],
    [
      'invoke',
      () => session.invoke(Command.add, [], js({ singal: AbortSignal.abort() })),
      /no option "singal"; did you mean "signal"/,
    ],
    ['invoke', () => session.invoke(Command.add, [], js({ timeout: 5 })), /no option "timeout"; allowed: signal/],
    ['invoke', () => session.invoke(Command.add, [], js(null)), /options must be an object, not null/],
    ['invoke', () => session.invoke(Command.add, [], js({ signal: 'now' })), /the signal is not an AbortSignal/],
    ['invoke', () => session.invoke(Command.add, [], js({ signal: null })), /the signal is not an AbortSignal/],
    [
      'memref',
      async () => memref.input(await context.allocateSharedMemory(8), js({ ofset: 1 })),
      /no option "ofset"; did you mean "offset"/,
    ],
    ['memref', () => memref.inout(js(new Uint8Array(8))), /memref.inout needs shared memory/],
    ['memref', () => memref.output(js(undefined)), /memref.output needs shared memory/],
  ])('of %s (%#)', async (_, misuse, message) => {
    const error = await (async () => misuse())().then(
      () => 'nothing is refused',
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof TeecError)) throw error instanceof Error ? error : new Error(String(error));
    expect(error.code).toBe(TeeResult.ERROR_BAD_PARAMETERS);
    expect(error.message).toMatch(message);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['simulated world', () => new SimulatedWorld(js({ thread: 1 })), /no option "thread"; did you mean "threads"/],
    [
      'simulated world',
      () => new SimulatedWorld(js({ faults: { smcReturns: () => undefined } })),
      /faults of the simulated world: there is no option "smcReturns"/,
    ],
    [
      'user TA',
      () => trustedApplication(js({ ...userTa, concurrent: true })),
      /user TA: there is no option "concurrent"/,
    ],
    ['user TA', () => trustedApplication(js({ ...userTa, singleinstance: true })), /did you mean "singleInstance"/],
    ['trusted application', () => trustedApplication(js({ ...userTa, kind: 'usr' })), /kind "usr"; allowed/],
    [
      'trusted application',
      () => trustedApplication(js({ ...userTa, create: undefined })),
      /create must be a function/,
    ],
    ['trusted application', () => trustedApplication(js(undefined)), /kind undefined/],
    ['eMMC', () => new EmulatedEmmc(js({ hmac: hmacSha256, size: 3 })), /emulated eMMC: there is no option "size"/],
    ['eMMC', () => new EmulatedEmmc(js({})), /hmac must be a function/],
  ])('of a %s (%#)', (_, misuse, message) => {
    expect(misuse).toThrow(TypeError);
    expect(misuse).toThrow(message);
  });

  it.each([{ cid: new Uint8Array(15) }, { sizeMultiplier: 0 }, { sizeMultiplier: 129 }, { reliableWriteSectors: 1.5 }])(
    'and so is an invalid card: %o',
    (options) => {
      expect(() => new EmulatedEmmc({ hmac: hmacSha256, ...options })).toThrow(RangeError);
    },
  );
});

describe('an object that throws when it is read', () => {
  const refuse = () => {
    throw new Error('not for you');
  };
  const hostile = new Proxy({}, { get: refuse, ownKeys: refuse, getOwnPropertyDescriptor: refuse, has: refuse });

  it.each<[string, () => unknown]>([
    ['openContext', () => tee.openContext(js(hostile))],
    ['openSession', () => context.openSession(userTa.uuid, js(hostile))],
    ['invoke', () => session.invoke(Command.add, [], js(hostile))],
    ['openTee', () => openTee(js(hostile))],
    ['simulated world', () => new SimulatedWorld(js(hostile))],
    ['eMMC', () => new EmulatedEmmc(js(hostile))],
  ])('is refused as options of %s with the reason', async (_, misuse) => {
    await expect((async () => misuse())()).rejects.toThrow(/options cannot be read: not for you/);
    expect(await session.invoke(Command.add, [value.inout(40, 2)])).toEqual([{ a: 42, b: 2 }]);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['a UUID', () => context.openSession(js(hostile)), /not a UUID: an object/],
    ['a clock', () => openTee(js({ clock: hostile })), /clock has no method/],
    ['a number of threads', () => new SimulatedWorld(js({ threads: hostile })), /threads is an object/],
    ['an ABI', () => new SimulatedWorld(js({ abi: hostile })), /no ABI an object/],
    ['a queue', () => openTee(js({ queue: hostile })), /no call queue an object/],
    ['an RPMB', () => openTee(js({ rpmb: [hostile] })), /rpmb/],
  ])('is refused as %s', async (_, misuse, message) => {
    await expect((async () => misuse())()).rejects.toThrow(message);
  });
});

describe('a known option', () => {
  it('may be undefined, and so may an unknown one', () => {
    expect(tee.openContext(js({ label: undefined, nothing: undefined })).allocateSharedMemory).toBeTypeOf('function');
  });

  it('may have the name of a property of Object.prototype', () => {
    const names = { a: true } as const;
    expect(optionMistake({ constructor: 1 }, names)).toMatch(/no option "constructor"/);
    expect(optionMistake(Object.create(null), names)).toBeUndefined();
    expect(optionMistake(JSON.parse('{"__proto__": 1}'), names)).toMatch(/no option "__proto__"/);
  });

  it.each([
    ['thredas', 'threads'],
    ['THREADS', 'threads'],
    ['thread', 'threads'],
    ['threadss', 'threads'],
    ['thraeds', 'threads'],
    ['xthreads', 'threads'],
    ['thrxads', 'threads'],
  ])('is suggested for %s, which has one wrong letter', (wrong, right) => {
    const guess = optionMistake({ [wrong]: 1 }, { clock: true, threads: true } as const);
    expect(guess).toContain(`did you mean "${right}"?`);
  });
});
