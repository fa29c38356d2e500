import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { fetchedPackages } from '../../debian/fetch-folders.js';
import { buildSuites } from '../../optee-build/build-options.js';
import { builtOptees, fetchedFolder, fetchedName } from '../../optee-build/built-optee.js';

/** `normalworld optee list`: list the available OP-TEEs. */
export function addListCommand(optee: Command): void {
  optee
    .command('list')
    .summary('list the available OP-TEEs: the fetched one, and builds')
    .description('Lists the available OP-TEEs: the fetched one, and builds. --optee takes their names.')
    .option('--json', 'print one JSON array')
    .addHelpText(
      'after',
      `
Exit codes:
  0  done
  2  bad usage

Examples:
  $ normalworld optee list
  $ normalworld optee list --json | jq -r '.[].name'`,
    )
    .action(async (options: { readonly json?: boolean }) => {
      const fetched = await Promise.all(
        buildSuites.map(async (suite) => {
          const folder = fetchedFolder(suite);
          if (!existsSync(folder.image)) return [];
          const version =
            (await fetchedPackages(folder.path)).find(({ name }) => name === 'optee-os')?.version ?? 'your own';
          return [{ name: fetchedName(suite), suite, version, path: folder.path, variables: [] }];
        }),
      );
      const built = (await builtOptees()).map(({ folder, ...record }) => ({ ...record, path: folder.path }));
      const all = [...fetched.flat(), ...built];
      if (options.json) console.log(JSON.stringify(all, null, 2));
      else if (all.length === 0)
        console.log('none: get one with `normalworld optee fetch`, or build one with `normalworld optee build`');
      else for (const { name, version, path } of all) console.log(`${name.padEnd(32)} ${version.padEnd(12)} ${path}`);
    });
}
