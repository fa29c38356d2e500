import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { clientCommand } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { Gate, userTa } from '../support/applications.js';

const source = fileURLToPath(new URL('client.c', import.meta.url));
const preload = fileURLToPath(new URL('../../preload/', import.meta.url));
const missing = ['make', 'cc'].filter((name) => spawnSync(name, ['--version']).status !== 0);
const why = missing.length === 0 ? '' : ` (skipped: no ${missing.join(', no ')}; apt-get install make gcc libc6-dev)`;

describe.skipIf(missing.length > 0)(`a client with the preload library${why}`, () => {
  let scratch: string;
  let program: string;
  let tee: Tee;
  let server: TeeServer;
  let gate: Gate;

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
    program = join(scratch, 'client');
    for (const [command, ...args] of [
      ['make', '-C', preload],
      ['cc', '-Wall', '-Wextra', '-Werror', '-O1', '-pthread', '-o', program, source],
    ] as const)
      expect(spawnSync(command, args, { encoding: 'utf8' }).stderr).toBe('');
  });
  afterAll(() => rmSync(scratch, { recursive: true }));

  beforeEach(async () => {
    gate = new Gate();
    tee = await openTee({ memoryFile: true, trustedApplications: [userTa], supplicant: { services: gate.services } });
    server = await TeeServer.listen(tee);
  });
  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  /** The server hears of the end of a client in its own time; it must, without being asked. */
  const nothingOpen = async () => {
    while (server.openFiles > 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const start = async (name: string): Promise<ChildProcess> => {
    using command = await clientCommand(program, [name], server.path);
    return spawn(command.program, command.args, { env: command.env, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const run = async (name: string) => {
    const child = await start(name);
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const [code, signal] = await once(child, 'close');
    return `${code ?? signal} ${said}`;
  };

  it.each([
    ['finds /dev/tee0, and descriptors that behave as those of a device', 'values'],
    ['shares a page with secure world', 'memory'],
    ['shares a buffer of its own, and touches nothing beside it', 'registered'],
    ['calls from parent and children on one file at once', 'forked'],
    ['hands its file to the program it becomes', 'executed'],
    ['calls from many threads on one file at once', 'threads'],
    ['survives that it closes what is not its own', 'careless'],
  ])('%s', async (_, name) => {
    expect(await run(name)).toBe('0 ');
    await nothingOpen();
  });

  it('leaves nothing behind when it is killed during a call', async () => {
    const closed = new Promise<void>((resolve) => {
      tee.trace.listen((event) => {
        if (event.type === 'session-close') resolve();
      });
    });
    const child = await start('hang');
    await gate.reached(1);
    child.kill('SIGKILL');
    await closed;
    expect(await run('values')).toBe('0 ');
    await nothingOpen();
  });
});
