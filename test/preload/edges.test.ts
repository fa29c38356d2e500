import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { arm64Root, isComplete } from '../../src/serve/arm64-root.js';
import { clientCommand, hostArchitecture, isOfThisVersion, preloadLibrary } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { clientLogin } from '../../src/tee/login.js';
import { userTa } from '../support/applications.js';

const source = fileURLToPath(new URL('edges-client.c', import.meta.url));
const preload = fileURLToPath(new URL('../../preload/', import.meta.url));
const missing = (...programs: string[]) => programs.filter((name) => spawnSync(name, ['--version']).status !== 0);
const isRoot = process.geteuid?.() === 0;
const otherUser = 12_345;

for (const architecture of new Set([hostArchitecture, 'aarch64'])) {
  const emulated = architecture !== hostArchitecture;
  const compiler = `${architecture}-linux-gnu-gcc`;
  const lacking = missing('make', compiler, ...(emulated ? [`qemu-${architecture}`] : []));
  if (emulated && !isComplete(arm64Root())) lacking.push('libraries (npx normalworld optee fetch)');
  const why = lacking.length === 0 ? '' : ` (skipped: no ${lacking.join(', no ')})`;

  describe.skipIf(lacking.length > 0)(`edge cases of a client for ${architecture}${why}`, () => {
    let scratch: string;
    let program: string;
    let tee: Tee;
    let server: TeeServer;

    beforeAll(() => {
      scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
      program = join(scratch, 'client');
      expect(spawnSync('make', ['-C', preload], { encoding: 'utf8' }).stderr).toBe('');
      const flags = ['-Wall', '-Wextra', '-Werror', '-O1'];
      expect(spawnSync(compiler, [...flags, '-o', program, source], { encoding: 'utf8' }).stderr).toBe('');
      expect(existsSync(program)).toBe(true);
    });
    afterAll(() => rmSync(scratch, { recursive: true }));

    beforeEach(async () => {
      tee = await openTee({ memoryFile: true, trustedApplications: [userTa] });
      server = await TeeServer.listen(tee);
    });
    afterEach(async () => {
      while (server.openFiles > 0) await new Promise((resolve) => setImmediate(resolve));
      await server[Symbol.asyncDispose]();
      await tee.close();
      expect(tee.sharedMemoryInUse).toBe(0);
    });

    const run = async (args: readonly string[], socket = server.path) => {
      using command = await clientCommand(program, args, socket);
      const child = spawn(command.program, command.args, { env: command.env, stdio: ['ignore', 'pipe', 'pipe'] });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          said += text;
        });
      const [code, signal] = await once(child, 'close');
      return `${code ?? signal} ${said}`;
    };

    it.each([
      ['has two files open at once, each with its own memory', 'two-opens'],
      ['keeps memory as long as it is mapped, whatever it closes', 'mapped'],
      ['keeps memory that its child unmaps', 'mapped-in-child'],
      [
        'can neither read nor write what it opened, nor map its own buffer, and loses nothing by trying',
        'input-output',
      ],
      ['gets EFAULT for pointers to nothing', 'pointers'],
      ['is told of ioctls that are of other files what Linux says', 'foreign-ioctls'],
      ['is served as the libteec of 2017 calls, which knows only what the first drivers had', 'first-libteec'],
      ['is let in by the door of its file, and nothing else is', 'door'],
      ['reaches the TEE with as many parameters as the kernel lets through', 'parameters'],
    ])('%s', async (_, name) => {
      expect(await run([name])).toBe('0 ');
    });

    it('gets ENOMEM for too much memory, without touching a page of it', async () => {
      expect(await run(['huge', emulated ? '32' : '40'])).toBe('0 ');
    });

    it('has a library with its protocol version, so that a mismatch is reported before the client fails', () => {
      const library = preloadLibrary(architecture);
      expect(isOfThisVersion(library)).toBe(true);
      const other = join(scratch, 'other.so');
      writeFileSync(
        other,
        Buffer.from(readFileSync(library).toString('latin1').replace('wire NWT', 'wire OLD'), 'latin1'),
      );
      expect(isOfThisVersion(other)).toBe(false);
    });

    it('has an absolute path to the socket', async () => {
      expect(await run(['elsewhere'], relative(process.cwd(), server.path))).toBe('0 ');
    });

    it.skipIf(!isRoot || emulated)('keeps its file after chroot and as another user', async () => {
      expect(await run(['elsewhere', String(otherUser)])).toBe('0 ');
    });

    it.skipIf(!isRoot)('opens sessions with its current credentials', async () => {
      const uuidOf = (uid: number) => clientLogin({ login: 'user' }, { uid, gid: 0, groups: [] }, false).uuid;
      expect(await run(['login', String(otherUser)])).toBe(`0 ${uuidOf(0)}\n${uuidOf(otherUser)}\n`);
    });
  });
}
