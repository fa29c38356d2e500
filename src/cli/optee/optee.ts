import type { Command } from 'commander';
import { addBuildCommand } from './optee-build.js';
import { addFetchCommand } from './optee-fetch.js';
import { addInfoCommand } from './optee-info.js';
import { addInvokeCommand } from './optee-invoke.js';
import { addListCommand } from './optee-list.js';
import { addOpteeRunCommand } from './optee-run.js';
import { addSymbolizeCommand } from './optee-symbolize.js';
import { addTaCommand } from './optee-ta-list.js';

/** `normalworld optee ...`: the real OP-TEE OS in QEMU. */
export function addOpteeCommand(program: Command): void {
  const optee = program
    .command('optee')
    .summary('the real OP-TEE OS, in QEMU, without Linux')
    .description('The real OP-TEE OS, in QEMU, without Linux.');
  addFetchCommand(optee);
  addBuildCommand(optee);
  addListCommand(optee);
  addInfoCommand(optee);
  addTaCommand(optee);
  addInvokeCommand(optee);
  addOpteeRunCommand(optee);
  addSymbolizeCommand(optee);
}
