import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { memref, type OpenTeeOptions, openTee, type Tee, TeecError, temporary, value } from '../../src/index.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { clientCommand, hostArchitecture, preloadFolder, preloadLibrary } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { openTestTee, testWorld } from '../../src/testing.js';
import { Command, Gate, pseudoTa, userTa } from '../support/applications.js';
import { opteeTestApplications } from '../support/optee-test-applications.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const suite = resolve(import.meta.dirname, '../behaviour/linux.test.js');
// As it is built from these sources; where it cannot be, what needs it is skipped.
spawnSync('make', ['-C', preloadFolder]);
const library = preloadLibrary(hostArchitecture);
const built = existsSync(library);

let scratch: string;
let log: string;
const before = { ...process.env };
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
  log = join(scratch, 'ssh.json');
  const bin = join(scratch, 'bin');
  mkdirSync(bin);
  const script = (name: string, file: string) =>
    writeFileSync(join(bin, name), `#!/bin/sh\nexec '${process.execPath}' '${file}' "$@"\n`, { mode: 0o700 });
  script('ssh', join(import.meta.dirname, 'fake-ssh.js'));
  script('normalworld', main);
  Object.assign(process.env, { PATH: `${bin}:${before.PATH}`, FAKE_SSH_LOG: log, NODE_OPTIONS: '' });
});
afterEach(() => {
  for (const name of [
    'PATH',
    'FAKE_SSH_LOG',
    'FAKE_SSH_ENV',
    'NORMALWORLD_TEE',
    'NORMALWORLD_REMOTE',
    'NODE_OPTIONS',
  ]) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
  rmSync(scratch, { recursive: true });
});

const askedSsh = () => JSON.parse(readFileSync(log, 'utf8')) as { pid: number; args: string[] };

describe.skipIf(!built)(`a board over ssh${built ? '' : ` (skipped: no ${library})`}`, () => {
  let board: Tee;
  let server: TeeServer;
  let tee: Tee | undefined;
  const gate = new Gate();
  afterEach(async () => {
    await tee?.close();
    tee = undefined;
    await server[Symbol.asyncDispose]();
    gate.open();
    await board.close();
    expect(board.sharedMemoryInUse).toBe(0);
  });

  /** A machine with a /dev/tee0. */
  const boardWith = async (options: OpenTeeOptions) => {
    board = await openTee({ memoryFile: true, ...options });
    server = await TeeServer.listen(board);
    using command = await clientCommand(process.execPath, [], server.path);
    const { LD_PRELOAD, NORMALWORLD_SOCKET } = command.env;
    process.env.FAKE_SSH_ENV = JSON.stringify({ LD_PRELOAD, NORMALWORLD_SOCKET });
  };
  const usual = () => boardWith({ trustedApplications: [userTa, pseudoTa], supplicant: { services: gate.services } });
  const connect = async (device = 'ssh://board', options: OpenTeeOptions = {}) => {
    tee = await openTee({ world: 'linux', device, ...options });
    return tee;
  };

  it('passes the behaviour suite', async () => {
    await boardWith({ trustedApplications: opteeTestApplications });
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', suite], {
      env: { ...process.env, NORMALWORLD_DEVICE: 'ssh://board' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const [code] = await once(child, 'close');
    expect(code, said).toBe(0);
    expect(said).toMatch(/^# pass 35$/m);
  });

  it('can be selected with NORMALWORLD_TEE', async () => {
    await usual();
    process.env.NORMALWORLD_TEE = 'ssh://root@board:2222/dev/tee0';
    tee = await openTestTee({ simulated: { queue: 'linux-6.8' }, linux: { deviceCalls: 3 } });
    const session = await tee.openContext().openSession(pseudoTa.uuid);
    expect(await session.invoke(Command.add, [value.inout(40, 2)])).toEqual([{ a: 42, b: 2 }]);
    const { args } = askedSsh();
    expect(args.slice(args.indexOf('-p'))).toEqual([
      ...['-p', '2222', '--', 'root@board', 'normalworld serve --stdio --device /dev/tee0 --device-calls 3'],
    ]);
    expect(args).toContain('BatchMode=yes');
  });

  it('works although its shell prints something first', async () => {
    await usual();
    const context = (await connect('ssh://greeting')).openContext();
    await using session = await context.openSession(pseudoTa.uuid);
    expect(await session.invoke(Command.add, [value.inout(1, 2)])).toEqual([{ a: 3, b: 2 }]);
  });

  it('works with the commands that take a device', async () => {
    await usual();
    const child = spawn(
      process.execPath,
      [main, 'optee', 'invoke', '--device', 'ssh://board', pseudoTa.uuid, `${Command.add}`, 'value.inout=40,2'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const [code] = await once(child, 'close');
    expect([code, said]).toEqual([0, expect.stringContaining('42')]);
  });

  it('copies memory of any size in both directions, and only what a trusted application may access', async () => {
    await usual();
    const context = (await connect()).openContext();
    await using session = await context.openSession(userTa.uuid);
    for (const size of [1, 4096, 100_001, 3_000_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7) >> 3);
      const expected = bytes.slice().reverse();
      const registered = await context.registerSharedMemory(bytes);
      await session.invoke(Command.reverse, [memref.inout(registered)]);
      expect(Buffer.compare(bytes, expected)).toBe(0);
      await registered[Symbol.asyncDispose]();
      const allocated = await context.allocateSharedMemory(size);
      allocated.bytes.set(bytes);
      await session.invoke(Command.reverse, [memref.inout(allocated)]);
      expect(Buffer.compare(allocated.bytes, expected.slice().reverse())).toBe(0);
      await allocated[Symbol.asyncDispose]();
    }
    // What was in the buffer of the last call is not in that of the next.
    await session.invoke(Command.reverse, [temporary.inout(new Uint8Array(4096).fill(1))]);
    const [, out] = await session.invoke(Command.fill, [value.input(10), temporary.output(4096)]);
    expect(out).toEqual(new Uint8Array(10).fill(0xa5));
    await expect(session.invoke(Command.fill, [value.input(100), temporary.output(9)])).rejects.toMatchObject({
      code: TeeResult.ERROR_SHORT_BUFFER,
      sizes: [undefined, 100],
    });
    await expect(context.registerSharedMemoryDescriptor(0)).rejects.toThrow(/descriptor/);
    await expect(tee?.watchDevices()).rejects.toThrow(/watching devices is not supported over ssh/);
    await expect(context.allocateSharedMemory(2 ** 31)).rejects.toMatchObject({ code: TeeResult.ERROR_OUT_OF_MEMORY });
  });

  it('loses no write of concurrent calls to one buffer', async () => {
    await usual();
    const context = (await connect()).openContext();
    const memory = await context.allocateSharedMemory(8 * 4096);
    const sessions = await Promise.all(Array.from({ length: 8 }, () => context.openSession(userTa.uuid)));
    for (let round = 0; round < 10; round++) {
      const expected = memory.bytes.slice();
      await Promise.all(
        sessions.map(async (session, index) => {
          const begin = index * 4096;
          memory.bytes.fill(round * 8 + index, begin, begin + 100);
          expected.fill(round * 8 + index, begin, begin + 100);
          expected.subarray(begin, begin + 4096).reverse();
          await session.invoke(Command.reverse, [memref.inout(memory, { offset: begin, size: 4096 })]);
        }),
      );
      expect(Buffer.compare(memory.bytes, expected)).toBe(0);
    }
    await memory[Symbol.asyncDispose]();
  });

  it('cancels a call that is inside, at a signal and when its client is killed', async () => {
    await usual();
    const opened = await connect();
    const context = opened.openContext();
    await using session = await context.openSession(userTa.uuid);
    const cancel = new AbortController();
    // Noticed when the sleep is over.
    const waiting = session.invoke(Command.wait, [value.input(500)], { signal: cancel.signal });
    cancel.abort();
    await expect(waiting).rejects.toMatchObject({ code: TeeResult.ERROR_CANCEL });
    const dying = opened.openContext();
    const waits = (await dying.openSession(userTa.uuid)).invoke(Command.wait, [value.input(500)]);
    await Promise.all([dying.kill(), expect(waits).rejects.toMatchObject({ code: TeeResult.ERROR_CANCEL })]);
    expect(await session.invoke(Command.add, [value.inout(1, 2)])).toEqual([{ a: 3, b: 2 }]);
  });

  it('reports that the connection was lost during a call, and leaves nothing on the board', async () => {
    await usual();
    const opened = await connect();
    const context = opened.openContext();
    const session = await context.openSession(userTa.uuid);
    await context.allocateSharedMemory(10_000);
    const hangs = session.invoke(Command.ask);
    await gate.reached(1);
    process.kill(askedSsh().pid, 'SIGKILL');
    const comms = { code: TeeResult.ERROR_COMMUNICATION, origin: TeeOrigin.COMMS };
    await expect(hangs).rejects.toMatchObject({ ...comms, message: expect.stringMatching(/board.*SIGKILL/) });
    await expect(opened.ended).resolves.toBeInstanceOf(TeecError);
    await expect(session.invoke(Command.add, [value.inout(1, 2)])).rejects.toMatchObject(comms);
    await expect(opened.openContext().openSession(userTa.uuid)).rejects.toMatchObject(comms);
    await session.close();
    await opened.close();
    gate.open();
    // The agent has gone, and with it the client.
    while (server.openFiles > 0) await new Promise(setImmediate);
  });

  it('leaves nothing on the board when its client has ended', async () => {
    await usual();
    const opened = await connect();
    await opened.openContext().openSession(userTa.uuid);
    await opened.openContext().allocateSharedMemory(10);
    expect(server.openFiles).toBe(2);
    await opened.close();
    expect(server.openFiles).toBe(0);
    await expect(opened.openContext().openSession(userTa.uuid)).rejects.toMatchObject({
      code: TeeResult.ERROR_BAD_STATE,
    });
  });

  it('reports a device that the board does not have', async () => {
    await usual();
    await expect(connect('ssh://board/dev/tee7')).rejects.toThrow(/board.*\/dev\/tee7.*ENOENT/s);
  });

  it('reports that the board has no normalworld, and how to set its command', async () => {
    await usual();
    process.env.NORMALWORLD_REMOTE = 'no-such-normalworld';
    await expect(connect()).rejects.toThrow(/no command "no-such-normalworld".*npm install.*NORMALWORLD_REMOTE/s);
  });
});

describe('a board that ssh does not reach', () => {
  const refused = (device: string) => {
    const failing = openTee({ world: 'linux', device });
    return expect(failing).rejects;
  };

  it.each([
    [
      'whose host key is not known',
      'ssh://unknown-key',
      /host key.*check it with: ssh unknown-key.*No ED25519 host key/s,
    ],
    ['which takes no key of ours', 'ssh://root@no-key', /ssh-copy-id root@no-key.*Permission denied/s],
    ['whose name nobody knows', 'ssh://nowhere', /exited with code 255.*Could not resolve hostname/s],
    [
      'with another protocol',
      'ssh://older',
      /normalworld 0\.0\.9 with protocol 0, this machine has protocol 1: install the same/,
    ],
    ['with a normalworld that has no agent', 'ssh://oldest', /older than this one.*install the same version/s],
    ['which says something else without end', 'ssh://babbling', /not from an agent: "y/],
  ])('reports one %s', async (_name, device, words) => {
    await refused(device).toThrow(words);
    await refused(device).toMatchObject({ code: TeeResult.ERROR_COMMUNICATION });
  });

  it('says so of one which never says anything', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const opening = openTee({ world: 'linux', device: 'ssh://silent' });
      const failed = expect(opening).rejects.toThrow(/silent: no agent has answered within 60 s/);
      while (!existsSync(log)) await new Promise((resolve) => setImmediate(resolve));
      vi.advanceTimersByTime(60_000);
      vi.useRealTimers();
      await failed;
    } finally {
      vi.useRealTimers();
    }
  });

  it('closes the connection to one that violates the protocol', async () => {
    await using tee = await openTee({ world: 'linux', device: 'ssh://lying' });
    await expect(tee.openContext().openSession(userTa.uuid)).rejects.toThrow(/violated the protocol/);
  });

  it('must be inspected by the doctor command on the board', () => {
    const { status, stderr } = spawnSync(process.execPath, [main, 'doctor', '--device', 'ssh://board'], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([2, expect.stringMatching(/run it on the board/)]);
  });

  it('reports that ssh is not installed', async () => {
    process.env.PATH = join(scratch, 'nothing');
    await refused('ssh://board').toThrow(/ssh is not installed: apt-get install/);
  });

  it.each([
    ['ssh://-oProxyCommand=touch%20x', /not a valid host name/],
    ['ssh://root@-oProxyCommand=x', /not a valid host name/],
    ['ssh://-lroot@board', /not a valid user name/],
    ['ssh://$(touch x)', /not a valid host name/],
    ['ssh://board;touch', /not a valid host name/],
    ['ssh://a`b`@board', /not a valid user name/],
    ['ssh://%h', /not a valid host name/],
    ['ssh://', /host name is missing/],
    ['ssh:///dev/tee0', /host name is missing/],
    ['ssh://board:0', /not a port number/],
    ['ssh://board:22x', /not a port number/],
    ['ssh://board:99999', /not a port number/],
    ["ssh://board/dev/tee0'; reboot", /not a valid device path/],
    ['ssh://board/dev/tee0 --x', /not a valid device path/],
    ['ssh://board\n/dev/tee0', /not a valid host name/],
  ])('refuses the address %j, and starts nothing', async (text, words) => {
    await refused(text).toThrow(words);
    await refused(text).toThrow(RangeError);
    expect(() => testWorld({ NORMALWORLD_TEE: text })).toThrow(words);
    expect(existsSync(log)).toBe(false);
  });

  it.each([
    ['ssh://board', 'board'],
    ['ssh://me@192.168.0.2/', 'me@192.168.0.2'],
    ['ssh://[fe80::1%eth0]:22/dev/tee1', 'fe80::1%eth0'],
  ])('connects to %s', async (text, name) => {
    process.env.NORMALWORLD_REMOTE = 'no-such-normalworld';
    await refused(text).toThrow(name);
    const { args } = askedSsh();
    expect(args[args.indexOf('--') + 1]).toBe(name);
  });
});

describe('the agent by itself', () => {
  const agent = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'serve', '--stdio', ...args], {
      encoding: 'utf8',
      input: '',
      timeout: 30_000,
    });
    return { status, stdout, stderr };
  };

  it('also serves the simulated world, and ends with its input', () => {
    const { status, stdout, stderr } = agent('--simulated');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^normalworld-agent \{"protocol":1,/);
  });

  it.each([
    [['--simulated', '--socket', './tee0'], 2, /--socket/],
    [['--simulated', '--device-calls', '3'], 2, /--device-calls/],
    [['--device', '--console'], 2, /--console/],
    [['--device', '/dev/tee77'], 1, /ENOENT/],
  ])('refuses %j', (args, code, words) => {
    const { status, stdout, stderr } = agent(...args);
    expect(stderr).toMatch(words);
    expect([status, stdout]).toEqual([code, '']);
  });

  it('refuses input that violates the protocol', () => {
    const { status, stderr } = spawnSync(process.execPath, [main, 'serve', '--stdio', '--simulated'], {
      encoding: 'utf8',
      input: 'GET / HTTP/1.1\r\nHost: board\r\n\r\n',
      timeout: 30_000,
    });
    expect(stderr).toMatch(/violated the protocol/);
    expect(status).toBe(1);
  });
});
