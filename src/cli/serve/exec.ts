import type { Command } from 'commander';
import { clientCommand } from '../../serve/client-command.js';
import { requireListener } from '../../serve/listening-place.js';
import { runClient } from '../../serve/run-client.js';
import { refuseOthers } from '../open/refuse-others.js';
import { tellFailure } from '../output/failure.js';
import { offer } from './offer.js';
import { addServedOptions, type ServedOptions } from './served-options.js';

/** `normalworld exec -- PROGRAM ...`: run a program that needs /dev/tee0. Its exit code becomes ours. */
export function addExecCommand(program: Command): void {
  const command = program
    .command('exec')
    .summary('run an unmodified client program with a TEE at /dev/tee0')
    .description(
      'Runs an unmodified program that opens /dev/tee0, through libteec or ioctls. The device is OP-TEE in QEMU, or the ' +
        'simulated world.',
    )
    .argument('<program>', 'after --')
    .argument('[args...]', 'its arguments')
    .option('--socket <path>', 'use the TEE of a running `normalworld serve` instead of one for this run')
    .addHelpText(
      'after',
      `
Exit codes:
  *  the program's own
  1  also: the TEE could not be opened, or the program could not be started
  128 and the number of a signal  also: a second signal while the TEE was being closed
  2  also: bad usage

Examples:
  $ normalworld exec -- ./my-client
  $ normalworld exec --simulated ./my-ta.js -- ./my-client --its-own-option
  $ normalworld exec --socket ./tee0 -- ./my-client`,
    );
  addServedOptions(command).action(
    async (client: string, args: string[], options: ServedOptions & { readonly socket?: string }) => {
      const run = async (socket: string) => {
        using command = await clientCommand(client, args, socket);
        process.exitCode = await runClient(command);
      };
      if (options.socket === undefined) return offer(options, {}, run);
      try {
        refuseOthers(options, new Set(['socket']), 'is for a new TEE: --socket uses a running one');
        await requireListener(options.socket);
        await run(options.socket);
      } catch (error) {
        tellFailure(error);
      }
    },
  );
}
