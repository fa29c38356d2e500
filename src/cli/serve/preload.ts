import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { buildPreload } from '../../serve/build-preload.js';
import { hostArchitecture, preloadLibrary } from '../../serve/client-command.js';
import { tellFailure } from '../output/failure.js';

/** `normalworld preload`. */
export function addPreloadCommand(program: Command): void {
  program
    .command('preload')
    .summary('build the library that exec preloads into a client')
    .description(
      'Builds the library that `normalworld exec` preloads into a client, from the C code of this package, for each architecture ' +
        'that has a compiler. It is needed only once.',
    )
    .addHelpText(
      'after',
      `
Exit codes:
  0  it is built for this machine's architecture
  1  it could not be built; the output says how to build it
  2  bad usage

Examples:
  $ normalworld preload && normalworld exec -- ./my-client`,
    )
    .action(async () => {
      try {
        await buildPreload();
        for (const architecture of new Set([hostArchitecture, 'aarch64'])) {
          const library = preloadLibrary(architecture);
          const how = architecture === 'aarch64' ? 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross' : 'gcc libc6-dev';
          console.log(`${architecture}: ${existsSync(library) ? library : `skipped; apt-get install ${how}`}`);
        }
        if (!existsSync(preloadLibrary(hostArchitecture))) process.exitCode = 1;
      } catch (failure) {
        tellFailure(failure);
      }
    });
}
