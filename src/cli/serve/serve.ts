import { type Command, Option } from 'commander';
import { mostCalls } from '../../linux/open-linux-tee.js';
import { integerArgument } from '../open/integer-argument.js';
import { tellFailure } from '../output/failure.js';
import { offer } from './offer.js';
import { type ServeOptions, serveClient } from './serve-client.js';
import { addServedOptions } from './served-options.js';

/** `normalworld serve`: serve a TEE to programs on this machine until a signal arrives. */
export function addServeCommand(program: Command): void {
  const command = program
    .command('serve')
    .summary('serve a TEE as /dev/tee0 to programs of this machine')
    .description(
      'Serves a TEE as /dev/tee0 to programs that are run with `normalworld exec --socket PATH -- PROGRAM`, until Ctrl-C, ' +
        'SIGTERM or SIGHUP. Prints NORMALWORLD_SOCKET=PATH when it is ready. With --stdio it is the agent of one client, which ' +
        'started it over ssh (`--device ssh://board`, NORMALWORLD_TEE=ssh://board), until its standard input ends.',
    )
    .option('--socket <path>', 'path of the socket (default: in a new private folder)')
    .option('--stdio', 'serve one client over standard input and output instead of a socket')
    .option(
      '--device [path]',
      "with --stdio: the TEE of this machine, behind Linux's own driver (default path: /dev/tee0)",
    )
    .addOption(
      new Option(
        '--device-calls <number>',
        'with --device: maximum number of requests in the kernel at a time, 1 to 512',
      ).argParser(integerArgument(1, mostCalls)),
    )
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by a signal, or with its client, with an orderly shutdown
  1  the TEE could not be opened or failed, the socket could not be created, or a call did not end within 15 seconds
  2  bad usage
  *  128 and the number of a second signal

Examples:
  $ normalworld serve --socket ./tee0
  $ normalworld serve --socket ./tee1 --simulated ./my-ta.js
  $ ssh board normalworld serve --stdio --device /dev/tee0`,
    );
  addServedOptions(command).action((options: ServeOptions) => {
    if (options.stdio) return serveClient(options);
    if (options.device !== undefined || options.deviceCalls !== undefined) {
      tellFailure(new RangeError('--device and --device-calls are for the agent of a client: --stdio'));
      return undefined;
    }
    return offer(options, options.socket === undefined ? {} : { path: options.socket }, async (path, over) => {
      console.log(`NORMALWORLD_SOCKET=${path}`);
      if ((await over) === 'lost') process.exitCode = 1;
    });
  });
}
