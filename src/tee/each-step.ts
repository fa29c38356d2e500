/**
 * Run the steps in order, also after a failure: every resource that is to be released gets its turn.
 * @throws the first failure, after all steps.
 */
export async function eachStep(steps: Iterable<() => unknown>): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
