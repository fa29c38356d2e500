import type { Command } from 'commander';
import { clientCommand } from '../serve/client-command.js';
import { runClient } from '../serve/run-client.js';
import { TeeServer } from '../serve/tee-server.js';
import { addServedOptions, openServed, type ServedOptions } from './served-options.js';

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
      if (options.socket !== undefined) {
        await run(options.socket);
        return;
      }
      await openServed(options, async (tee) => {
        await using server = await TeeServer.listen(tee);
        await run(server.path);
      });
    },
  );
}
