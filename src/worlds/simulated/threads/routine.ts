/**
 * Secure-world code that may have to wait. It yields the promise that it waits for; if there is none, it runs to the
 * end synchronously. So a call that nothing suspends is answered in the same turn, without a promise.
 */
export type Routine<T> = Generator<Promise<unknown>, T, unknown>;

/** Run a routine. Returns its result, or a promise of it if the routine had to wait. */
export function start<T>(routine: Routine<T>): T | Promise<T> {
  const step = routine.next();
  return step.done ? step.value : proceed(routine, step.value);
}

async function proceed<T>(routine: Routine<T>, first: Promise<unknown>): Promise<T> {
  let pending = first;
  for (;;) {
    const go = await pending.then(
      (value) => () => routine.next(value),
      (error: unknown) => () => routine.throw(error),
    );
    const step = go();
    if (step.done) return step.value;
    pending = step.value;
  }
}

/** Wait, inside a routine, until a promise settles. */
export function* until<T>(promise: Promise<T>): Routine<T> {
  return (yield promise) as T;
}
