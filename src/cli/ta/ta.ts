import type { Command } from 'commander';
import { addTaBuildCommand } from './ta-build.js';
import { addTaInspectCommand } from './ta-inspect.js';
import { addTaNewCommand } from './ta-new.js';
import { addTaTestCommand } from './ta-test.js';
import { addTaWatchCommand } from './ta-watch.js';

/** `normalworld ta ...`: commands for developers of trusted applications. */
export function addTaCommands(program: Command): void {
  const ta = program
    .command('ta')
    .summary('develop a trusted application: new, build, test, watch, inspect')
    .description(
      'Develop a trusted application in C: make a project, build and sign, test on OP-TEE, look at an image.',
    );
  addTaNewCommand(ta);
  addTaBuildCommand(ta);
  addTaTestCommand(ta);
  addTaWatchCommand(ta);
  addTaInspectCommand(ta);
}
