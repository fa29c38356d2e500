import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../worlds/qemu/optee-folder.js';

const run = promisify(execFile);
const sources = fileURLToPath(new URL('../../firmware/coverage/', import.meta.url));

/**
 * The plugin for a QEMU, built when it is not there: one file of C.
 * @throws Error saying what is missing for it.
 */
export async function coveragePlugin(qemu = 'qemu-system-aarch64'): Promise<string> {
  const { stdout } = await run(qemu, ['--version']);
  const [major = 0, minor = 0] = (/version (\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
  // The versions of its plugin interface that a QEMU takes: up to 8.2, 9.0 and 9.1, since 9.2.
  const version = major < 9 ? 1 : major === 9 && minor < 2 ? 2 : 4;
  // A plugin that was built from other sources has another map.
  const source = await readFile(join(sources, 'coverage.c'));
  const folder = join(buildFolder(), createHash('sha256').update(source).digest('hex').slice(0, 12));
  const plugin = join(folder, `coverage-${version}.so`);
  if (existsSync(plugin)) return plugin;
  await run('make', ['--no-print-directory', '-C', sources, `BUILD=${folder}`]).catch(
    (error: NodeJS.ErrnoException & { readonly stderr?: string }) => {
      throw new Error(
        `coverage needs a plugin of QEMU's that is built from C, and could not be: apt-get install make gcc libc6-dev\n${error.stderr ?? error.message}`,
        { cause: error },
      );
    },
  );
  return plugin;
}

function buildFolder(): string {
  try {
    accessSync(sources, constants.W_OK);
    return join(sources, 'build');
  } catch {
    return join(cacheFolder(), 'coverage');
  }
}
