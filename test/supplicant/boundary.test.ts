import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { RpcCommand, type SupplicantSettings, TeecError, TeeOrigin, TeeResult } from '../../src/index.js';
import { RpcFs, RpcSocket } from '../../src/protocol/optee-rpc-command.js';
import { RpmbSupplicantCommand } from '../../src/protocol/rpmb.js';
import type { ReeFile, ReeFileSystem } from '../../src/supplicant/ree-file-system.js';
import type { ReeSocket } from '../../src/supplicant/socket-service.js';
import {
  type Answer,
  type Asked,
  AskingTee,
  inout,
  input,
  octets,
  output,
  text,
} from '../support/asking-application.js';

/** What the code behind a door does: throw, or answer something. It must never be more than that request's failure. */
type Mischief = () => unknown;

const raise = (thrown: unknown) => () => {
  throw thrown;
};
const system = (code: string) => Object.assign(new Error(`${code}: of the machine`), { code, errno: -5, syscall: 'x' });
const hostile = () =>
  Object.defineProperties(
    {},
    {
      code: { get: raise(new Error('code')) },
      message: { get: raise(new Error('message')) },
      [Symbol.toPrimitive]: { value: raise(new Error('text')) },
    },
  );

const thrown: readonly (readonly [string, unknown])[] = [
  ['an Error', new Error('a bug')],
  ['a TypeError', new TypeError('undefined is not a function')],
  ['a RangeError', new RangeError('Array buffer allocation failed')],
  ['a RangeError of Node', Object.assign(new RangeError('port 0'), { code: 'ERR_SOCKET_BAD_PORT' })],
  ['EIO', system('EIO')],
  ['EMFILE', system('EMFILE')],
  ['EACCES', system('EACCES')],
  ['a text', 'oops'],
  ['a number', 0],
  ['null', null],
  ['undefined', undefined],
  ['an object that throws when it is looked at', hostile()],
  ['an error whose code is SUCCESS', new TeecError(TeeResult.SUCCESS, TeeOrigin.COMMS, 'doing')],
  ['an error whose code is none', new TeecError(Number.NaN, TeeOrigin.COMMS, 'doing')],
];
const faults: readonly (readonly [string, Mischief])[] = thrown.flatMap(([name, error]) => [
  [`throws ${name}`, raise(error)] as const,
  [`rejects with ${name}`, () => Promise.reject(error)] as const,
]);

/** Answers that are none where something else is wanted. */
const answers: readonly (readonly [string, Mischief])[] = [
  undefined,
  null,
  -1,
  0.5,
  Number.NaN,
  2 ** 53,
  2 ** 32,
  'text',
  true,
  Symbol('s'),
  10n,
  () => 0,
  hostile(),
].map((answer) => [`answers ${typeof answer} ${typeof answer === 'object' ? '' : String(answer)}`, () => answer]);

/** A door of the supplicant, behind which somebody else's code is. */
interface Door {
  readonly name: string;
  readonly settings: (mischief: Mischief) => SupplicantSettings;
  readonly before?: (tee: AskingTee) => Promise<readonly number[]>;
  readonly request: (handles: readonly number[]) => readonly [number, readonly Asked[]];
  /** What OP-TEE gets for a bug behind it. */
  readonly result: number;
  /** A property: nobody waits for what it promises. */
  readonly property?: boolean;
  /** Whether it answers anything, and so can answer wrongly. */
  readonly answers: boolean;
}

const file = (does: Partial<Record<keyof ReeFile, Mischief>>): ReeFile =>
  ({ read: () => 0, write: () => {}, truncate: () => {}, close: () => {}, ...does }) as ReeFile;
const fileSystem = (does: Partial<Record<keyof ReeFileSystem, Mischief>>): SupplicantSettings => ({
  fileSystem: {
    ...{ open: () => file({}), create: () => file({}), remove: () => {}, rename: () => {}, list: () => ['a'] },
    ...does,
  } as ReeFileSystem,
});
const socket = (does: Partial<Record<keyof ReeSocket, Mischief>>): SupplicantSettings => ({
  sockets: {
    open: async () =>
      ({
        ...{ send: async () => 0, receive: async () => ({ data: new Uint8Array(0), available: 0 }) },
        ...{ ioctl: async () => {}, close: () => {}, ...does },
      }) as ReeSocket,
  },
});

const instance = 7;
const openSocket: readonly Asked[] = [input(RpcSocket.open, instance), input(80, 101, 0), text('host'), output];
const opened = (command: number, asked: readonly Asked[]) => async (tee: AskingTee) => {
  const { result, params } = await tee.ask(command, asked);
  expect(result).toBe(TeeResult.SUCCESS);
  return params.flatMap((param) => (param.type === 'value' && param.direction === 'output' ? [param.a] : []));
};
const openedFile = opened(RpcCommand.fs, [input(RpcFs.open), text('a'), output]);
const openedSocket = opened(RpcCommand.socket, openSocket);
const fs = (
  name: string,
  operation: number,
  does: keyof ReeFileSystem,
  more: readonly Asked[],
  says = false,
): Door => ({
  name: `a file system's ${name}`,
  settings: (mischief) => fileSystem({ [does]: mischief }),
  request: () => [RpcCommand.fs, [input(operation), ...more]],
  result: TeeResult.ERROR_STORAGE_NOT_AVAILABLE,
  answers: says,
});
const fileDoor = (name: keyof ReeFile, operation: number, more: readonly Asked[], says = false): Door => ({
  name: `a file's ${name}`,
  settings: (mischief) => fileSystem({ open: () => file({ [name]: mischief }) }),
  before: openedFile,
  request: ([handle = -1]) => [RpcCommand.fs, [input(operation, handle, 0), ...more]],
  result: TeeResult.ERROR_STORAGE_NOT_AVAILABLE,
  answers: says,
});
const socketDoor = (name: keyof ReeSocket, operation: number, more: readonly Asked[], says = false): Door => ({
  name: `a socket's ${name}`,
  settings: (mischief) => socket({ [name]: mischief }),
  before: openedSocket,
  request: ([handle = -1]) => [RpcCommand.socket, [input(operation, instance, handle), ...more]],
  result: TeeResult.ERROR_GENERIC,
  answers: says,
});
const rpmbRequest = (command: number) => {
  const bytes = new Uint8Array(8 + (command === RpmbSupplicantCommand.data ? 512 : 0));
  new DataView(bytes.buffer).setUint16(0, command, true);
  return octets('input', bytes);
};
const card = {
  cid: new Uint8Array(16),
  sizeMultiplier: 1,
  reliableWriteSectors: 1,
  exchange: () => new Uint8Array(512),
};

const doors: readonly Door[] = [
  {
    name: 'a store of TAs',
    settings: (mischief) => ({ taStores: [{ load: mischief as never }] }),
    request: () => [RpcCommand.loadTa, [input(1, 2), octets('output', 64)]],
    result: TeeResult.ERROR_ITEM_NOT_FOUND,
    answers: true,
  },
  fs('open', RpcFs.open, 'open', [text('a'), output], true),
  fs('create', RpcFs.create, 'create', [text('a'), output], true),
  fs('remove', RpcFs.remove, 'remove', [text('a')]),
  fs('rename', RpcFs.rename, 'rename', [text('a'), text('b')]),
  fs('list', RpcFs.opendir, 'list', [text('a'), output], true),
  fileDoor('read', RpcFs.read, [octets('output', 16)], true),
  fileDoor('write', RpcFs.write, [octets('input', 16)]),
  fileDoor('truncate', RpcFs.truncate, []),
  fileDoor('close', RpcFs.close, []),
  {
    name: "a network's open",
    settings: (mischief) => ({ sockets: { open: mischief as never } }),
    request: () => [RpcCommand.socket, openSocket],
    result: TeeResult.ERROR_GENERIC,
    answers: true,
  },
  socketDoor('send', RpcSocket.send, [octets('input', 16), inout(0)], true),
  socketDoor('receive', RpcSocket.receive, [octets('output', 16), input(0)], true),
  socketDoor('ioctl', RpcSocket.ioctl, [octets('inout', 4), input(1)]),
  socketDoor('close', RpcSocket.close, []),
  {
    name: 'a plugin',
    settings: (mischief) => ({
      plugins: [{ uuid: '01000000-0200-0000-0300-000004000000', invoke: mischief as never }],
    }),
    request: () => [RpcCommand.plugin, [input(0, 1, 2), input(3, 4, 0), inout(0), octets('inout', 4)]],
    result: TeeResult.ERROR_GENERIC,
    answers: true,
  },
  {
    name: "a plugin's result",
    settings: (mischief) => ({
      plugins: [
        {
          uuid: '01000000-0200-0000-0300-000004000000',
          invoke: async () => ({ result: (await mischief()) as number }),
        },
      ],
    }),
    request: () => [RpcCommand.plugin, [input(0, 1, 2), input(3, 4, 0), inout(0), octets('inout', 4)]],
    result: TeeResult.ERROR_GENERIC,
    answers: true,
  },
  {
    name: "an RPMB card's identification",
    property: true,
    settings: (mischief) => ({
      rpmb: [
        {
          ...card,
          get cid() {
            return mischief() as Uint8Array;
          },
        },
      ],
    }),
    request: () => [RpcCommand.rpmb, [rpmbRequest(RpmbSupplicantCommand.getDeviceInfo), octets('output', 64)]],
    result: TeeResult.ERROR_STORAGE_NOT_AVAILABLE,
    answers: true,
  },
  {
    name: "a profile's file",
    settings: (mischief) => ({ profiles: { append: mischief as never } }),
    request: () => [RpcCommand.gprof, [inout(0), octets('input', 16), octets('input', 4)]],
    result: TeeResult.ERROR_GENERIC,
    answers: false,
  },
  {
    name: "a user's own service",
    settings: (mischief) => ({ services: new Map([[77, mischief as never]]) }),
    request: () => [77, [input(1)]],
    result: TeeResult.ERROR_GENERIC,
    answers: true,
  },
];

const isFailure = ({ result }: Answer) => Number.isInteger(result) && result > 0 && result <= 0xffff_ffff;

describe.each(doors)('$name', (door) => {
  it('that throws anything fails only its request, with a result that OP-TEE understands', async () => {
    let mischief: Mischief = () => undefined;
    await using tee = await AskingTee.open(door.settings(() => mischief()));
    for (const [what, does] of faults) {
      if (door.property && what.startsWith('rejects')) continue;
      const reported = tee.reported.length;
      const handles = (await door.before?.(tee)) ?? [];
      mischief = does;
      const [command, asked] = door.request(handles);
      const answer = await tee.ask(command, asked);
      mischief = () => undefined;
      expect.soft(isFailure(answer), `${door.name} ${what}: ${answer.result}`).toBe(true);
      if (!/E[A-Z]+$/.test(what)) expect.soft(answer.result, `${door.name} ${what}`).toBe(door.result);
      expect.soft(tee.reported.length, `${door.name} ${what}: told`).toBeGreaterThan(reported);
      expect.soft(tee.reported.at(-1)?.cause, `${door.name} ${what}: with its cause`).toBeDefined();
    }
    expect((await tee.ask(RpcCommand.getTime, [output])).result).toBe(TeeResult.SUCCESS);
  });
});

describe.each(doors.filter(({ answers }) => answers))('$name', (door) => {
  it('that returns an invalid answer fails only its request', async () => {
    let mischief: Mischief = () => undefined;
    await using tee = await AskingTee.open(door.settings(() => mischief()));
    for (const [what, does] of answers) {
      const handles = (await door.before?.(tee)) ?? [];
      mischief = does;
      const [command, asked] = door.request(handles);
      const answer = await tee.ask(command, asked);
      mischief = () => undefined;
      expect.soft(isFailure(answer), `${door.name} ${what}: ${answer.result}`).toBe(true);
    }
    expect((await tee.ask(RpcCommand.getTime, [output])).result).toBe(TeeResult.SUCCESS);
  });
});

describe('a card that cannot be reached', () => {
  it('gives GENERIC, as with tee-supplicant, whatever it throws or returns', async () => {
    let mischief: Mischief = () => undefined;
    await using tee = await AskingTee.open({ rpmb: [{ ...card, exchange: () => mischief() as Uint8Array }] });
    for (const [what, does] of [...faults, ...answers]) {
      mischief = does;
      const asked = [rpmbRequest(RpmbSupplicantCommand.data), octets('output', 512)];
      expect.soft(isFailure(await tee.ask(RpcCommand.rpmb, asked)), what).toBe(true);
    }
  });
});

describe('the handler of failures', () => {
  it('may throw, and the next request is served', async () => {
    const warned = once(process, 'warning') as Promise<Error[]>;
    await using tee = await AskingTee.open({
      services: new Map([[77, raise(new Error('a bug'))]]),
      onError: raise(new Error('a bug of the one who is told')),
    });
    expect((await tee.ask(77, [])).result).toBe(TeeResult.ERROR_GENERIC);
    expect((await warned)[0]?.message).toContain('a bug of the one who is told');
    expect((await tee.ask(RpcCommand.getTime, [output])).result).toBe(TeeResult.SUCCESS);
  });

  it('is a process warning by default', async () => {
    const warned = once(process, 'warning') as Promise<Error[]>;
    await using plain = await AskingTee.open({
      services: new Map([[77, raise(new TypeError('of its author'))]]),
      // No listener, not the test's either.
      ...({ onError: undefined } as object),
    });
    expect((await plain.ask(77, [])).result).toBe(TeeResult.ERROR_GENERIC);
    expect((await warned)[0]?.message).toMatch(/the service for command 77 failed: TypeError: of its author/);
  });
});
