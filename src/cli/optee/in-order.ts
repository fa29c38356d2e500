/**
 * Make runs, a few at a time, and yield their results in order. After an error no further run begins, and those that have
 * begun are waited for.
 */
export async function* inOrder<T>(runs: readonly (() => Promise<T>)[], atOnce: number): AsyncGenerator<T> {
  const begun: Promise<T>[] = [];
  try {
    for (const run of runs) {
      begun.push(run());
      // An error is thrown when its turn comes.
      void begun.at(-1)?.catch(() => undefined);
      const first = begun.length === atOnce ? begun.shift() : undefined;
      if (first !== undefined) yield await first;
    }
    for (let next = begun.shift(); next !== undefined; next = begun.shift()) yield await next;
  } finally {
    await Promise.allSettled(begun);
  }
}
