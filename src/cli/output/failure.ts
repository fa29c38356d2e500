import { TeecError } from '../../tee/teec-error.js';
import { badUsage } from './exit-code.js';
import { OutputError } from './write-output.js';

/**
 * The errors in an error, the cause first. If a block with `using` fails and disposing fails too, JavaScript throws a
 * SuppressedError that contains both; the earlier error is the cause.
 */
export function reasonsOf(error: unknown): readonly unknown[] {
  if (error instanceof Error && error.name === 'SuppressedError') {
    const { error: later, suppressed } = error as Error & { readonly error?: unknown; readonly suppressed?: unknown };
    return [...reasonsOf(suppressed), ...reasonsOf(later)];
  }
  return [error];
}

/**
 * Print on standard error why a command failed, as one paragraph, and set the exit code: 2 for invalid values, else 1.
 * @param hint printed after an error that is not a TEE error.
 * @throws values that are not an Error.
 */
export function tellFailure(failure: unknown, hint?: string): void {
  const reasons = reasonsOf(failure);
  const [reason] = reasons;
  if (!(reason instanceof Error)) throw reason;
  const known = reason instanceof TeecError || reason instanceof RangeError || reason.name === 'ConduitError';
  console.error(`normalworld: ${reason.message}${known || hint === undefined ? '' : ` (${hint})`}`);
  // Errors with the same message are printed once.
  const told = new Set([reason.message]);
  const causes = new Set([reason.cause]);
  for (const later of reasons.slice(1)) {
    const { message, cause } = later instanceof Error ? later : { message: String(later), cause: undefined };
    if (cause !== undefined && causes.has(cause)) continue;
    if ([...told].some((each) => message.includes(each) || each.includes(message))) continue;
    told.add(message);
    causes.add(cause);
    console.error(`normalworld: and during cleanup: ${message}`);
  }
  process.exitCode = reason instanceof RangeError || reason instanceof OutputError ? badUsage : 1;
}
