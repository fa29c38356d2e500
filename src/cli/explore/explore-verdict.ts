/** The expected verdicts of `--expect`, and the exit code of an exploration. */

export const EXPECTATIONS = ['holds', 'unbroken', 'broken'] as const;
export type Expectation = (typeof EXPECTATIONS)[number];

/** Exit code if a verdict is not as expected. */
const unexpected = 1;
/** Exit code after SIGINT, as in a shell: 128 plus the number of the signal. */
const interruptedBySigint = 130;

/**
 * Set the exit code.
 * @param expected `holds`: all properties were proved; `unbroken`: no violation was found, even if the search was not
 * complete; `broken`: a violation was found.
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
