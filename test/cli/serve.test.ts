import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { Operation } from '../../src/serve/wire.js';
import { OsTestCommand, osTest } from '../support/optee-test-applications.js';
import { openFile, request, WireClient, WireConnection } from '../support/wire-client.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const library = pathToFileURL(resolve(import.meta.dirname, '../../dist/index.js')).href;
const source = fileURLToPath(new URL('../preload/client.c', import.meta.url));
const preload = fileURLToPath(new URL('../../preload/', import.meta.url));
const missing = ['make', 'cc'].filter((name) => spawnSync(name, ['--version']).status !== 0);

/** A trusted application for the client's `hang`, which never answers; and one that has a bug. */
const hanging = `
import { trustedApplication } from '${library}';
export default trustedApplication({
  uuid: '11111111-2222-4333-8444-555555555555',
  kind: 'user',
  create: () => ({
    invokeCommand() {
      console.error('called');
      return new Promise(() => undefined);
    },
  }),
});
`;
const broken = hanging.replace(/console\.error[\s\S]*undefined\);/, "throw new TypeError('a bug of mine');");

const opensUntilRefused = `
const { connect } = require('node:net');
const [path, request] = process.argv.slice(1);
let files = 0;
function open() {
  const socket = connect(path, () => socket.write(Buffer.from(request, 'hex')));
  socket.once('data', (greeting) => {
    const status = greeting.readInt32LE(4);
    if (status === 0) {
      files++;
      open();
    } else console.log('refused: ' + files + ' ' + status);
  });
}
open();
`;

/** A command of ours, and what it has said. */
class Running {
  readonly ended: Promise<unknown[]>;
  private said = { stdout: '', stderr: '' };
  private wake: () => void = () => undefined;

  constructor(readonly child: ChildProcessWithoutNullStreams) {
    this.ended = once(child, 'close');
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        this.said[name] += text;
        this.wake();
      });
    child.once('close', () => this.wake());
  }

  get stderr(): string {
    return this.said.stderr;
  }

  /** Resolves with the match when it has said so. */
  async says(stream: 'stdout' | 'stderr', what: RegExp): Promise<string> {
    for (;;) {
      const [, match] = what.exec(this.said[stream]) ?? [];
      if (match !== undefined) return match;
      if (this.child.exitCode !== null) throw new Error(`ended, and said: ${JSON.stringify(this.said)}`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

describe('serve and exec', () => {
  let folder: string;
  const running: Running[] = [];
  const start = (...args: string[]) => {
    const options = { cwd: folder, env: { ...process.env, TMPDIR: join(folder, 'tmp') }, detached: true };
    const started = new Running(spawn(process.execPath, [main, ...args], options));
    started.child.stdin.end();
    running.push(started);
    return started;
  };
  const serve = async (...args: string[]) => {
    const server = start('serve', ...args);
    return { server, socket: await server.says('stdout', /^NORMALWORLD_SOCKET=(.+)$/m) };
  };
  const leftBehind = () => readdirSync(join(folder, 'tmp'));

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'normalworld-'));
    writeFileSync(join(folder, 'hanging.mjs'), hanging);
    writeFileSync(join(folder, 'broken.mjs'), broken);
    if (missing.length > 0) return;
    expect(spawnSync('make', ['-C', preload], { encoding: 'utf8' }).stderr).toBe('');
    const flags = ['-O1', '-pthread', '-o', join(folder, 'client')];
    expect(spawnSync('cc', [...flags, source], { encoding: 'utf8' }).stderr).toBe('');
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeEach(() => mkdirSync(join(folder, 'tmp')));
  afterEach(async () => {
    for (const { child, ended } of running.splice(0)) {
      if (child.exitCode === null) child.kill('SIGKILL');
      await ended;
    }
    rmSync(join(folder, 'tmp'), { recursive: true });
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'end cleanly after %s, and leave nothing behind',
    async (signal) => {
      const { server, socket } = await serve('--simulated');
      expect(existsSync(socket)).toBe(true);
      server.child.kill(signal);
      expect([await server.ended, server.stderr, leftBehind()]).toEqual([[0, null], '', []]);
    },
  );

  it('replace the socket of a dead server, but not of a running one', async () => {
    const path = join(folder, 'tee0');
    const first = await serve('--simulated', '--socket', 'tee0');
    expect(first.socket).toBe(path);
    const second = start('serve', '--simulated', '--socket', 'tee0');
    expect([await second.ended, second.stderr]).toEqual([
      [1, null],
      `normalworld: another server listens at ${path}\n`,
    ]);
    first.server.child.kill('SIGKILL');
    await first.server.ended;
    expect(existsSync(path)).toBe(true);
    const third = await serve('--simulated', '--socket', 'tee0');
    third.server.child.kill('SIGTERM');
    expect(await third.server.ended).toEqual([0, null]);
    expect(existsSync(path)).toBe(false);
  });

  describe('with few descriptors', () => {
    const [ENFILE, EMFILE] = [23, 24];
    let server: Running;
    let socket: string;
    const open = () => openFile(socket, Operation.openDevice, '', Buffer.from('tee0'));
    /** A process that opens the device as often as it can, and then says how often, and what it was told in the end. */
    const greedy = async () => {
      const bytes = request(Operation.openDevice, '', Buffer.from('tee0')).toString('hex');
      const process = new Running(spawn(globalThis.process.execPath, ['-e', opensUntilRefused, socket, bytes]));
      running.push(process);
      const [files, status] = (await process.says('stdout', /^refused: (.+)$/m)).split(' ');
      return { process, files: Number(files), status: Number(status) };
    };

    beforeEach(async () => {
      // 44 for clients beside 256 for everything else.
      const limited = ['-c', 'ulimit -n 300; exec "$0" "$@"', process.execPath, main, 'serve', '--simulated'];
      const env = { ...process.env, TMPDIR: join(folder, 'tmp') };
      server = new Running(spawn('sh', limited, { cwd: folder, env, detached: true }));
      running.push(server);
      socket = await server.says('stdout', /^NORMALWORLD_SOCKET=(.+)$/m);
    });
    afterEach(async () => {
      server.child.kill('SIGTERM');
      expect([await server.ended, server.stderr]).toEqual([[0, null], '']);
    });

    it('reserve places for other processes if one takes all it can get', async () => {
      // Two descriptors each: half of them, half of the rest, and so on.
      const hogs = [await greedy(), await greedy(), await greedy()];
      expect(hogs.map(({ files, status }) => [files, status])).toEqual([
        [11, -EMFILE],
        [5, -EMFILE],
        [3, -EMFILE],
      ]);
      const other = await WireClient.open(socket);
      expect((await other.ioctl(Operation.version, Buffer.alloc(12))).status).toBe(0);
      await other.close();
    });

    it('refuse a client with ENFILE if no descriptor is left, and accept it when one is free again', async () => {
      const hogs = [];
      // 22, 10, 6, 2 and 2 of them.
      while (hogs.length < 5) hogs.push(await greedy());
      const idle = await WireConnection.open(socket);
      const last = await greedy();
      expect(last).toMatchObject({ files: 0, status: -ENFILE });
      for (const { process } of [...hogs, last]) process.child.kill('SIGKILL');
      // The server hears of the end in its own time.
      let file = await open();
      for (; file.status !== 0; file = await open()) expect([-ENFILE, -EMFILE]).toContain(file.status);
      await file.connection.end();
      await idle.end();
    });
  });

  it('do not touch an existing file that is not a socket', async () => {
    writeFileSync(join(folder, 'file'), 'mine');
    const server = start('serve', '--simulated', '--socket', 'file');
    expect(await server.ended).toEqual([1, null]);
    expect(server.stderr).toMatch(/already exists, and is not a socket/);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('mine');
  });

  it('start no client if no server listens on the socket', async () => {
    const client = start('exec', '--socket', 'nobody', '--', 'touch', join(folder, 'started'));
    expect(await client.ended).toEqual([1, null]);
    expect(client.stderr).toMatch(/no server at .*nobody: .*ENOENT/);
    expect(existsSync(join(folder, 'started'))).toBe(false);
    expect(leftBehind()).toEqual([]);
  });

  it.each([
    [['serve', '--simulated', '--socket', 'x'.repeat(108)], /at most 107 bytes, this one has \d+: .*xxx/],
    [['serve', '--simulated', '--socket', ''], /path of the socket is empty/],
    [['exec', '--socket', 'x'.repeat(108), '--', 'true'], /at most 107 bytes/],
    [['exec', '--socket', '', '--', 'true'], /path of the socket is empty/],
    [['serve', '--simulated', '--cpus', '9'], /--cpus is for OP-TEE in QEMU/],
    [['exec', '--simulated', '--qemu', 'q', '--', 'true'], /--qemu is for OP-TEE in QEMU/],
    [['exec', '--socket', 's', '--storage', 'x', '--', 'true'], /--storage is for a new TEE/],
  ] as const)('refuse %j by name', async (args, says) => {
    const { ended, stderr } = await (async () => {
      const command = start(...args);
      return { ended: await command.ended, stderr: command.stderr };
    })();
    expect([ended, stderr]).toEqual([[2, null], expect.stringMatching(says)]);
    expect(leftBehind()).toEqual([]);
  });

  describe.skipIf(missing.length > 0)('with a client', () => {
    /** A client that says its number and is then inside a call that never ends. */
    const hangingClient = ['sh', '-c', 'echo pid $$; exec ./client hang'];

    it('report what a dead client left in secure world, and end without waiting for it', {
      timeout: 60_000,
    }, async () => {
      const exec = start('exec', '--simulated', 'hanging.mjs', '--', ...hangingClient);
      await exec.says('stderr', /(called)/);
      process.kill(Number(await exec.says('stdout', /^pid (\d+)$/m)), 'SIGKILL');
      expect(await exec.ended).toEqual([137, null]);
      expect(exec.stderr).toMatch(
        /still waiting for client 1 \(process \d+\): its invoke of 1{8}-\S+ is in secure world/,
      );
      expect(leftBehind()).toEqual([]);
    });

    it('do not wait after a second signal', { timeout: 60_000 }, async () => {
      const { server, socket } = await serve('--simulated', 'hanging.mjs');
      const client = start('exec', '--socket', socket, '--', ...hangingClient);
      await server.says('stderr', /(called)/);
      server.child.kill('SIGTERM');
      await server.says('stderr', /(still waiting for client 1)/);
      server.child.kill('SIGINT');
      expect(await server.ended).toEqual([130, null]);
      expect(server.stderr).toMatch(/SIGINT: second signal/);
      expect([existsSync(socket), leftBehind()]).toEqual([false, []]);
      // Its server has gone: so has its device.
      expect(await client.ended).toEqual([1, null]);
    });

    it('print the error that a trusted application threw', async () => {
      const exec = start('exec', '--simulated', 'broken.mjs', '--', './client', 'hang');
      await exec.ended;
      expect(exec.stderr).toMatch(
        /^normalworld: 11111111-2222-4333-8444-555555555555: the application panicked with code 0x\w+: TypeError: a bug of mine$/m,
      );
    });
  });

  describe.skipIf(whyNot !== undefined)(onRealOptee('on OP-TEE'), () => {
    it('end cleanly when the terminal sends Ctrl-C to the process group', { timeout: 60_000 }, async () => {
      const { server } = await serve();
      process.kill(-(server.child.pid ?? 0), 'SIGINT');
      expect([await server.ended, server.stderr, leftBehind()]).toEqual([[0, null], '', []]);
    });

    it('print why a trusted application panicked', { timeout: 60_000 }, async () => {
      const { server, socket } = await serve();
      const client = await WireClient.open(socket);
      const { session } = await client.openSession(osTest);
      const { result } = await client.invoke(session, OsTestCommand.panic);
      expect(result).toBe(TeeResult.ERROR_TARGET_DEAD);
      await server.says(
        'stderr',
        new RegExp(`^(normalworld: ${osTest}: the application panicked with code 0x\\w+)`, 'm'),
      );
      await client.close();
      server.child.kill('SIGTERM');
      expect(await server.ended).toEqual([0, null]);
    });

    it('report at once that QEMU has ended, and end', { timeout: 60_000 }, async () => {
      const { server } = await serve();
      const children = readFileSync(`/proc/${server.child.pid}/task/${server.child.pid}/children`, 'utf8');
      process.kill(Number(children.trim().split(' ')[0]), 'SIGKILL');
      expect(await server.ended).toEqual([1, null]);
      expect(server.stderr).toMatch(/^normalworld: the TEE failed; .*QEMU was ended by SIGKILL/);
      expect(leftBehind()).toEqual([]);
    });
  });
});
