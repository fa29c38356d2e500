import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { arm64Root, isComplete } from '../../src/serve/arm64-root.js';
import { clientCommand, hostArchitecture } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { trustedApplication } from '../../src/worlds/simulated/index.js';

const source = fileURLToPath(new URL('registered-client.c', import.meta.url));
const preload = fileURLToPath(new URL('../../preload/', import.meta.url));

let joined = 0;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Answers a client through memory that both have. */
const partner = trustedApplication({
  uuid: '77777777-2222-4333-8444-555555555555',
  kind: 'user',
  create: () => ({
    async invokeCommand(call) {
      switch (call.command) {
        case 1: {
          const memref = call.memref(0);
          memref.write(Uint8Array.of('T'.charCodeAt(0)));
          while (memref.read()[1] !== 'C'.charCodeAt(0)) await turn();
          return;
        }
        case 2: {
          const memref = call.memref(0);
          memref.write(Uint8Array.of((memref.read()[0] ?? 0) + 1));
          joined++;
          while (memref.read()[0] !== 2) await turn();
          return;
        }
        case 3: {
          const memref = call.memref(0);
          memref.write(memref.read().reverse());
          return;
        }
        case 4:
          while (joined === 0) await turn();
          return;
      }
    },
  }),
});

const noPages = 'there is no whole page in it';
const threads = 'writes of other threads would be lost';
const notPlain = 'it is not ordinary private memory';

const missing = (...programs: string[]) => programs.filter((name) => spawnSync(name, ['--version']).status !== 0);

for (const architecture of new Set([hostArchitecture, 'aarch64'])) {
  const emulated = architecture !== hostArchitecture;
  const compiler = `${architecture}-linux-gnu-gcc`;
  const lacking = missing('make', compiler, ...(emulated ? [`qemu-${architecture}`] : []));
  if (emulated && !isComplete(arm64Root())) lacking.push(`libraries (npx normalworld optee fetch)`);
  const why = lacking.length === 0 ? '' : ` (skipped: no ${lacking.join(', no ')})`;

  describe.skipIf(lacking.length > 0)(`a registered buffer of a client for ${architecture}${why}`, () => {
    let scratch: string;
    let program: string;
    let tee: Tee;
    let server: TeeServer;
    let sharing: string[];

    beforeAll(() => {
      scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
      program = join(scratch, 'client');
      expect(spawnSync('make', ['-C', preload], { encoding: 'utf8' }).stderr).toBe('');
      const flags = ['-Wall', '-Wextra', '-Werror', '-O1', '-pthread'];
      expect(spawnSync(compiler, [...flags, '-o', program, source], { encoding: 'utf8' }).stderr).toBe('');
      expect(existsSync(program)).toBe(true);
    });
    afterAll(() => rmSync(scratch, { recursive: true }));

    beforeEach(async () => {
      tee = await openTee({ memoryFile: true, trustedApplications: [partner] });
      server = await TeeServer.listen(tee);
      sharing = [];
      joined = 0;
      tee.trace.listen((event) => {
        const found = event.type === 'mark' ? /its buffer is memory \d+, (.*)$/.exec(event.text) : null;
        if (found?.[1] !== undefined) sharing.push(found[1].replace('copied before and after each call', 'copied'));
      });
    });
    afterEach(async () => {
      await server[Symbol.asyncDispose]();
      await tee.close();
      expect(tee.sharedMemoryInUse).toBe(0);
    });

    const run = async (name: string, environment: NodeJS.ProcessEnv = {}) => {
      const env = { ...process.env, ...environment };
      using command = await clientCommand(program, [name], server.path, env);
      const child = spawn(command.program, command.args, { env: command.env, stdio: ['ignore', 'ignore', 'pipe'] });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      const [code, signal] = await once(child, 'close');
      while (server.openFiles > 0) await turn();
      return `${code ?? signal} ${said}`;
    };

    it('has its whole pages remapped and the rest copied, without changing its surroundings', async () => {
      expect(await run('buffers')).toBe('0 ');
      expect(sharing).toEqual([
        '12288 bytes, remapped',
        '12288 bytes, 8192 bytes remapped, the rest copied',
        `1000 bytes, copied: ${noPages}`,
      ]);
    });

    it('is copied if it is not private memory, or locked, or executable', async () => {
      expect(await run('others')).toBe('0 ');
      const copied = `12288 bytes, copied: ${notPlain}`;
      // qemu-user does not tell its program what it has locked or made executable.
      const unknown = emulated ? '12288 bytes, remapped' : copied;
      expect(sharing).toEqual([copied, copied, unknown, unknown]);
    });

    it("is copied on the user's request", async () => {
      expect(await run('buffers', { NORMALWORLD_SHM: 'copy' })).toBe('0 ');
      expect(sharing[0]).toBe('12288 bytes, copied, as NORMALWORLD_SHM asks');
    });

    it('shows the writes of TA and client to each other during a call', async () => {
      expect(await run('meets-new-thread')).toBe('0 ');
      expect(sharing).toEqual(['8192 bytes, 4096 bytes remapped, the rest copied']);
    });

    it('also shows them to existing threads, if the user permits it', async () => {
      expect(await run('meets-old-thread', { NORMALWORLD_SHM: 'remap' })).toBe('0 ');
      expect(sharing).toEqual(['8192 bytes, 4096 bytes remapped, the rest copied']);
    });

    it('shows the writes of TAs to each other even when it is copied', async () => {
      expect(await run('joins')).toBe('0 ');
      expect(sharing).toEqual([`4 bytes, copied: ${noPages}`]);
    });

    it('loses no write of other threads while it is registered', async () => {
      expect(await run('writers-at-registration')).toBe('0 ');
      expect(new Set(sharing)).toEqual(new Set([`12288 bytes, copied: ${threads}`]));
    });

    it('loses no write of other threads while it is released', async () => {
      expect(await run('writers-at-release')).toBe('0 ');
      expect(sharing).toEqual(['2097152 bytes, remapped']);
    });

    it('stays with the parent after a fork, and the child gets a copy', async () => {
      expect(await run('forks')).toBe('0 ');
      expect(sharing).toEqual(['12288 bytes, remapped']);
    });

    it('can be registered twice, or share a page with another', async () => {
      expect(await run('neighbours')).toBe('0 ');
      const round = [
        '12288 bytes, remapped',
        `12288 bytes, copied: ${notPlain}`,
        '5096 bytes, 4096 bytes remapped, the rest copied',
        '7192 bytes, 4096 bytes remapped, the rest copied',
      ];
      expect(sharing).toEqual([...round, ...round, '12288 bytes, remapped']);
    });

    it('becomes private again when its descriptor is closed, by any function', async () => {
      expect(await run('endings')).toBe('0 ');
      expect(sharing).toEqual(Array.from({ length: 5 }, () => '12288 bytes, remapped'));
    });

    it('does not change what the client has mapped in its place', async () => {
      expect(await run('replaced')).toBe('0 ');
      expect(sharing).toEqual(['12288 bytes, remapped']);
    });
  });
}
