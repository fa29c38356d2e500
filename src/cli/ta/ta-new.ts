import { resolve } from 'node:path';
import type { Command } from 'commander';
import { newTaProject } from '../../ta/new-project.js';
import { tellFailure } from '../output/failure.js';

/** `normalworld ta new`. */
export function addTaNewCommand(ta: Command): void {
  ta.command('new')
    .summary('create a project: a TA in C, its tests on both worlds, CI, editor settings')
    .description(
      'Creates a project in a new folder: a trusted application in C, a header that C and the tests share, tests on the ' +
        'simulated world and on OP-TEE, files for GitHub Actions and GitLab CI, settings for clangd. The package normalworld ' +
        'is included as a tarball, so that every clone of the project has it.',
    )
    .argument('<name>', 'lower case letters, digits, and - between them')
    .option('--folder <path>', 'folder of the project (default: a folder with that name)')
    .option('--normalworld <spec>', 'dependency in package.json instead of the tarball: a version, a path, an address')
    .addHelpText(
      'after',
      `
Exit codes:
  0  done
  2  bad usage: an invalid name, a folder that is not empty

Examples:
  $ normalworld ta new adder && cd adder && npm install && npm test`,
    )
    .action(async (name: string, options: { readonly folder?: string; readonly normalworld?: string }) => {
      const folder = options.folder ?? name;
      try {
        const uuid = await newTaProject(name, resolve(folder), options.normalworld);
        console.log(`${name} (${uuid}) is in ${folder}. Next: cd ${folder} && npm install && npm test`);
      } catch (failure) {
        tellFailure(failure);
      }
    });
}
