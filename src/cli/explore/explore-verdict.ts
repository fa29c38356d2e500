/** What is asked of an exploration's verdicts by `--expect`, and how the command ends. */

export const EXPECTATIONS = ['holds', 'unbroken', 'broken'] as const;
export type Expectation = (typeof EXPECTATIONS)[number];

/** A verdict is not the one that was expected. */
const unexpected = 1;
/** Ended by SIGINT, as the shell has it: 128 and the signal's number. */
const interruptedBySigint = 130;

/**
 * Sets the exit code.
 * @param expected `holds`: every property was proved; `unbroken`: none is broken, as far as the search came; `broken`: one is.
 */
export function endWith(verdicts: Iterable<string>, expected: Expectation | undefined, interrupted: boolean): void {
  if (expected !== undefined && !meets([...verdicts], expected)) process.exitCode = unexpected;
  if (interrupted) process.exitCode = interruptedBySigint;
}

function meets(verdicts: readonly string[], expected: Expectation): boolean {
  switch (expected) {
    case 'holds':
      return verdicts.every((verdict) => verdict === 'holds');
    case 'unbroken':
      return !verdicts.includes('broken');
    case 'broken':
      return verdicts.includes('broken');
  }
}
