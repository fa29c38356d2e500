import { spawn, spawnSync } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openTee, temporary } from '../../src/index.js';
import { onRealOptee } from '../worlds/qemu/real-optee.js';
import { TaProject, whyNoKit } from './ta-project.js';

const hasGdb = spawnSync('gdb-multiarch', ['--version']).status === 0;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

it.skipIf(whyNoKit !== undefined || !hasGdb)(
  onRealOptee('a breakpoint in a trusted application stops a test, whose limits do not run meanwhile'),
  { timeout: 120_000 },
  async () => {
    using project = await TaProject.make();
    await project.build();
    const script = join(project.folder, 'normalworld.gdb');
    const tee = await openTee({
      world: 'qemu',
      taFolders: [join(project.folder, 'build/ta')],
      gdbScript: script,
      // It would be over long before the debugger goes on.
      callLimitMs: 1,
      qemu: { gdb: await freePort(), bootLimitMs: 1 },
    });
    try {
      const session = await tee.openContext().openSession(project.uuid);
      const gdb = spawn(
        'gdb-multiarch',
        [
          '-nx',
          '-batch',
          '-x',
          script,
          '-ex',
          'break reverse',
          '-ex',
          'continue',
          '-ex',
          'backtrace',
          '-ex',
          'info args',
          '-ex',
          'delete',
          '-ex',
          'detach',
        ],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let said = '';
      let told = () => {};
      for (const stream of [gdb.stdout, gdb.stderr])
        stream.on('data', (chunk: Buffer) => {
          said += chunk.toString();
          told();
        });
      const over = new Promise((resolve) => gdb.once('close', resolve));
      const stopped = new Promise<void>((resolve) => {
        told = () => {
          if (/Breakpoint 1 at/.test(said)) resolve();
        };
      });
      await Promise.race([stopped, over]);
      const buffer = Uint8Array.of(1, 2, 3);
      await session.invoke(1, [temporary.inout(buffer)]);
      expect([...buffer]).toEqual([3, 2, 1]);
      await over;
      expect(said).toMatch(/Breakpoint 1, reverse \(.*\) at .*adder_ta\.c:\d+/);
      expect(said).toMatch(/TA_InvokeCommandEntryPoint/);
    } finally {
      await tee.close();
    }
  },
);
