import type { Command } from 'commander';
import { clientCommand } from '../../serve/client-command.js';
import { requireListener } from '../../serve/listening-place.js';
import { runClient } from '../../serve/run-client.js';
import { refuseOthers } from '../open/refuse-others.js';
import { tellFailure } from '../output/failure.js';
import { offer } from './offer.js';
import { addServedOptions, type ServedOptions } from './served-options.js';

/** `normalworld exec -- PROGRAM ...`: run a program that wants /dev/tee0. Its exit code is ours. */
export function addExecCommand(program: Command): void {
  const command = program
    .command('exec')
    .summary('run a client of a TEE, unmodified: it finds ours at /dev/tee0')
    .description(
      'Runs a program that opens /dev/tee0, by libteec or by its ioctls, unmodified: it finds OP-TEE in QEMU there, or the ' +
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
  1  also: the TEE could not be opened, or the program not started
  128 and the number of a signal  also: it came a second time while the TEE was being closed
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
        refuseOthers(options, new Set(['socket']), 'is for a TEE of our own: --socket names one that is there');
        await requireListener(options.socket);
        await run(options.socket);
      } catch (error) {
        tellFailure(error);
      }
    },
  );
}
