import type { Command } from 'commander';
import { TeeServer } from '../serve/tee-server.js';
import { addServedOptions, openServed, type ServedOptions } from './served-options.js';

/** `normalworld serve`: offer a TEE to programs of this machine until a signal comes. */
export function addServeCommand(program: Command): void {
  const command = program
    .command('serve')
    .summary('offer a TEE as /dev/tee0 to programs of this machine')
    .description(
      'Offers a TEE as /dev/tee0 to programs that are run with `normalworld exec --socket PATH -- PROGRAM`, until Ctrl-C ' +
        'or SIGTERM. Prints NORMALWORLD_SOCKET=PATH when it is ready.',
    )
    .option('--socket <path>', 'where to make the socket (default: in a new private folder)')
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by Ctrl-C or SIGTERM
  1  the TEE could not be opened, or the socket not made
  2  bad usage

Examples:
  $ normalworld serve --socket ./tee0
  $ normalworld serve --socket ./tee1 --simulated ./my-ta.js`,
    );
  addServedOptions(command).action(async (options: ServedOptions & { readonly socket?: string }) => {
    await openServed(options, async (tee) => {
      await using server = await TeeServer.listen(tee, options.socket === undefined ? {} : { path: options.socket });
      console.log(`NORMALWORLD_SOCKET=${server.path}`);
      await new Promise((resolve) => {
        process.once('SIGINT', resolve).once('SIGTERM', resolve);
      });
    });
  });
}
