import type { Command } from 'commander';
import { offer } from './offer.js';
import { addServedOptions, type ServedOptions } from './served-options.js';

/** `normalworld serve`: offer a TEE to programs of this machine until a signal comes. */
export function addServeCommand(program: Command): void {
  const command = program
    .command('serve')
    .summary('offer a TEE as /dev/tee0 to programs of this machine')
    .description(
      'Offers a TEE as /dev/tee0 to programs that are run with `normalworld exec --socket PATH -- PROGRAM`, until Ctrl-C, ' +
        'SIGTERM or SIGHUP. Prints NORMALWORLD_SOCKET=PATH when it is ready.',
    )
    .option('--socket <path>', 'where to make the socket (default: in a new private folder)')
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by a signal, in good order
  1  the TEE could not be opened or is lost, the socket could not be made, or a call did not end within 15 seconds
  2  bad usage
  *  128 and the number of a second signal

Examples:
  $ normalworld serve --socket ./tee0
  $ normalworld serve --socket ./tee1 --simulated ./my-ta.js`,
    );
  addServedOptions(command).action((options: ServedOptions & { readonly socket?: string }) =>
    offer(options, options.socket === undefined ? {} : { path: options.socket }, async (path, over) => {
      console.log(`NORMALWORLD_SOCKET=${path}`);
      if ((await over) === 'lost') process.exitCode = 1;
    }),
  );
}
