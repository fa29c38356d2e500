/**
 * Do one after the other, whatever became of those before: what is to be given back is given back.
 * @throws the first failure, when all are done.
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
