import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { preloadBuildFolder, preloadFolder } from './client-command.js';

/**
 * Build the preload library for each architecture that has a compiler on this machine.
 * @throws Error with the output of make or the compiler.
 */
export async function buildPreload(): Promise<void> {
  await promisify(execFile)('make', [
    '--no-print-directory',
    '-C',
    preloadFolder,
    `BUILD=${preloadBuildFolder()}`,
  ]).catch((error: NodeJS.ErrnoException & { readonly stderr?: string }) => {
    if (error.code === 'ENOENT')
      throw new Error('make is missing: apt-get install make gcc libc6-dev', { cause: error });
    throw new Error(`the preload library could not be built:\n${error.stderr ?? error.message}`, { cause: error });
  });
}
