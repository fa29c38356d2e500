import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type OpenTeeOptions, openTee, type Tee, value } from '../../src/index.js';
import { arm64Root, isComplete } from '../../src/serve/arm64-root.js';
import { clientCommand, preloadFolder, preloadLibrary } from '../../src/serve/client-command.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { simulatedTaImage } from '../../src/testing.js';
import { opteeFolder } from '../../src/worlds/qemu/optee-folder.js';
import { Command, pseudoTa, userTa } from '../support/applications.js';
import { realOptions, whyNot } from '../worlds/qemu/real-optee.js';

// As it is built from these sources; where it cannot be, what needs it is skipped.
spawnSync('make', ['-C', preloadFolder]);
/** Debian's, as linux/ unpacks it for its guests. */
const program = join(dirname(opteeFolder().path), 'linux/programs/usr/sbin/tee-supplicant');
const root = arm64Root();
const missing = !existsSync(program)
  ? `no ${program}: npm run test:linux fetches it`
  : !existsSync(preloadLibrary('aarch64'))
    ? 'no preload library for arm64: npm run preload'
    : !isComplete(root)
      ? `no ${root.path}: npx normalworld optee fetch`
      : undefined;

describe.skipIf(missing !== undefined)(
  `Debian's untouched tee-supplicant on our driver${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let scratch: string;
    let tee: Tee;
    let server: TeeServer;
    const closers: (() => Promise<void>)[] = [];

    beforeEach(() => {
      scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
    });
    afterEach(async () => {
      for (const close of closers.splice(0).reverse()) await close();
      await server[Symbol.asyncDispose]();
      await tee.close();
      expect(tee.sharedMemoryInUse).toBe(0);
      rmSync(scratch, { recursive: true });
    });

    const start = async (
      path: string,
      args: readonly string[],
    ): Promise<{ child: ChildProcess; said: () => string }> => {
      const command = await clientCommand(path, args, server.path);
      const child = spawn(command.program, command.args, { env: command.env, stdio: ['ignore', 'pipe', 'pipe'] });
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (more: string) => {
          text += more;
        });
      const closed = once(child, 'close');
      closers.push(async () => {
        child.kill('SIGKILL');
        await closed;
        command[Symbol.dispose]();
      });
      return { child, said: () => text };
    };
    const serve = async (options: OpenTeeOptions, taFolder: string) => {
      tee = await openTee({ ...options, supplicant: false });
      server = await TeeServer.listen(tee);
      const storage = join(scratch, 'storage');
      mkdirSync(storage);
      const plugins = join(root.path, 'usr/lib/tee-supplicant/plugins');
      await start(program, ['--ta-path', taFolder, '--fs-parent-path', storage, '--plugin-path', plugins]);
      return storage;
    };

    it('loads a trusted application of the simulated world', async () => {
      const folder = join(scratch, 'ta');
      mkdirSync(folder);
      writeFileSync(join(folder, `${userTa.uuid}.ta`), simulatedTaImage(userTa));
      await serve({ memoryFile: true, trustedApplications: [userTa, pseudoTa] }, folder);
      // It waits for the supplicant to come.
      const session = await tee.openContext().openSession(userTa.uuid);
      expect(await session.invoke(Command.add, [value.inout(40, 2)])).toEqual([{ a: 42, b: 2 }]);
    });

    it.skipIf(whyNot !== undefined)(
      'serves plugins, sockets and storage to the untouched xtest on the real OP-TEE',
      { timeout: 400_000 },
      async () => {
        const storage = await serve(realOptions(), root.trustedApplications);
        const { child, said } = await start(root.xtest, ['-l', '0', '1033', '2001', '6001']);
        const [code] = await once(child, 'close');
        expect(code, said()).toBe(0);
        expect(said()).toMatch(/^3 test cases of which 0 failed$/m);
        expect(readdirSync(storage)).not.toEqual([]);
      },
    );
  },
);
