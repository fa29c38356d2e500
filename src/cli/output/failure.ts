import { TeecError } from '../../tee/teec-error.js';
import { badUsage } from './exit-code.js';
import { OutputError } from './write-output.js';

/**
 * What went wrong, the cause first. When a block with `using` fails and what it leaves behind cannot be closed either, the
 * language throws a SuppressedError: the later error with the earlier one in it. The earlier one is why.
 */
export function reasonsOf(error: unknown): readonly unknown[] {
  if (error instanceof Error && error.name === 'SuppressedError') {
    const { error: later, suppressed } = error as Error & { readonly error?: unknown; readonly suppressed?: unknown };
    return [...reasonsOf(suppressed), ...reasonsOf(later)];
  }
  return [error];
}

/**
 * Tell on standard error why a command failed, in one paragraph, and set its exit code: 2 for values that cannot be, else 1.
 * @param hint said behind a reason that is not of the TEE's own words.
 * @throws what is no Error.
 */
export function tellFailure(failure: unknown, hint?: string): void {
  const reasons = reasonsOf(failure);
  const [reason] = reasons;
  if (!(reason instanceof Error)) throw reason;
  const known = reason instanceof TeecError || reason instanceof RangeError || reason.name === 'ConduitError';
  console.error(`normalworld: ${reason.message}${known || hint === undefined ? '' : ` (${hint})`}`);
  // What failed on the way out for the same reason says nothing new.
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
