/** Look again and again, letting the event loop turn, until it is so; the test's own limit ends what never is. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}
