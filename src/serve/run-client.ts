import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { startProcess } from '../processes/start-process.js';
import type { ClientCommand } from './client-command.js';

/**
 * Run a client until it ends, with our standard files unless `stdout` is given.
 * @returns its exit code, or 128 plus the number of the signal that ended it, as in a shell.
 */
export function runClient(
  { program, args, env }: ClientCommand,
  stdout?: (child: ChildProcess) => void,
): Promise<number> {
  const child = startProcess(program, args, {
    env,
    stdio: ['inherit', stdout === undefined ? 'inherit' : 'pipe', 'inherit'],
  });
  stdout?.(child);
  // The terminal sends signals to the client itself; this process must not end before the client.
  const wait = () => undefined;
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', wait).on('SIGTERM', pass).on('SIGHUP', pass);
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
  }).finally(() => {
    process.off('SIGINT', wait).off('SIGTERM', pass).off('SIGHUP', pass);
  });
}
