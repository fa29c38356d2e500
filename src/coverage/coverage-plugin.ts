import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readRegularFile } from '../files/read-regular-file.js';
import { cacheFolder } from '../worlds/qemu/optee-folder.js';

const run = promisify(execFile);
const sourceFiles = ['Makefile', 'coverage.c', 'plugin.h', 'profile.c'] as const;
const sources = fileURLToPath(new URL('../../firmware/coverage/', import.meta.url));

/** The plugins of this package: coverage of code, and profile of executed instructions. */
export type QemuPluginName = 'coverage' | 'profile';

/** The plugin for a `CoverageMap`. @throws Error saying what is missing to build it. */
export const coveragePlugin = (qemu?: string): Promise<string> => qemuPlugin('coverage', qemu);

/**
 * The plugin for a QEMU, which is built from C if it does not exist.
 * @throws Error saying what is missing to build it.
 */
export async function qemuPlugin(name: QemuPluginName, qemu = 'qemu-system-aarch64'): Promise<string> {
  const { stdout } = await run(qemu, ['--version']);
  const [major = 0, minor = 0] = (/version (\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
  // Versions of the plugin interface: 1 for QEMU up to 8.2, 2 for 9.0 and 9.1, 4 since 9.2.
  const version = major < 9 ? 1 : major === 9 && minor < 2 ? 2 : 4;
  // The file name contains a hash of the sources, because the layout of the map depends on them.
  const hash = createHash('sha256');
  for (const file of sourceFiles) hash.update(await readRegularFile(join(sources, file)));
  const folder = join(buildFolder(), hash.digest('hex').slice(0, 12));
  const plugin = join(folder, `${name}-${version}.so`);
  if (existsSync(plugin)) return plugin;
  await run('make', ['--no-print-directory', '-C', sources, `BUILD=${folder}`]).catch(
    (error: NodeJS.ErrnoException & { readonly stderr?: string }) => {
      throw new Error(
        `${name} needs a QEMU plugin, which could not be built: apt-get install make gcc libc6-dev\n${error.stderr ?? error.message}`,
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
