/**
 * The rate of a trace, the same in `trace stats`, in `top` and on the page: the calls that ended, from the first to the
 * last event. 0 if that takes no time.
 *
 * @param durationMs milliseconds.
 */
export function callsPerSecond(ended: number, durationMs: number): number {
  return durationMs > 0 ? (ended * 1000) / durationMs : 0;
}
