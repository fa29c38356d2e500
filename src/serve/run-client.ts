import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { ClientCommand } from './client-command.js';

/**
 * Run a client to its end, on our own standard files unless `stdout` says otherwise.
 * @returns its exit code; for a signal, 128 and its number, as a shell has it.
 */
export function runClient(
  { program, args, env }: ClientCommand,
  stdout?: (child: ChildProcess) => void,
): Promise<number> {
  const child = spawn(program, args, {
    env,
    stdio: ['inherit', stdout === undefined ? 'inherit' : 'pipe', 'inherit'],
  });
  stdout?.(child);
  // The terminal's signals reach the client by themselves; we stay until it has ended.
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
