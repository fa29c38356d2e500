import type { Command } from 'commander';
import { clientCommand } from '../serve/client-command.js';
import { runClient } from '../serve/run-client.js';
import { TeeServer } from '../serve/tee-server.js';
import { addServedOptions, openServed, type ServedOptions } from './served-options.js';

/** `normalworld exec -- PROGRAM ...`: run a program that wants /dev/tee0. Its exit code is ours. */
export function addExecCommand(program: Command): void {
  const command = program
    .command('exec')
    .description('run a client of a TEE, unmodified: it finds ours at /dev/tee0')
    .argument('<program>', 'after --')
    .argument('[args...]', 'its arguments')
    .option('--socket <path>', 'use the TEE of a running `normalworld serve` instead of one for this run');
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
