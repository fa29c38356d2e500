/** The longest delay, in milliseconds, that setTimeout counts: it takes a longer one for 1 ms. */
const longestMs = 0x7fff_ffff;

export interface TimerOptions {
  /** A process of Node's does not stay alive for it. */
  readonly background?: boolean;
}

/**
 * Call back once after so many milliseconds of the machine's time, however many they are. The only place that sets a
 * timer of the platform's: none but a bounded delay reaches it.
 * @param ms 0 or more; Infinity never calls back.
 * @returns cancels it; once it went off, does nothing.
 * @throws RangeError for a number that is no time.
 */
export function startTimer(ms: number, callback: () => void, options: TimerOptions = {}): () => void {
  if (!(ms >= 0)) throw new RangeError(`a timer of ${ms} ms`);
  if (ms === Number.POSITIVE_INFINITY) return () => undefined;
  let remaining = ms;
  let timer: NodeJS.Timeout;
  const arm = () => {
    const stretch = Math.min(remaining, longestMs);
    remaining -= stretch;
    timer = setTimeout(() => (remaining > 0 ? arm() : callback()), stretch);
    if (options.background) timer.unref();
  };
  arm();
  return () => clearTimeout(timer);
}

/**
 * Call back every so many milliseconds.
 * @param ms 1 at least, and for what is less; Infinity never calls back.
 * @returns ends it.
 * @throws RangeError for a number that is no time.
 */
export function startInterval(ms: number, callback: () => void, options: TimerOptions = {}): () => void {
  const pause = ms < 1 ? 1 : ms;
  let cancel: () => void;
  const arm = () => {
    cancel = startTimer(
      pause,
      () => {
        // First: the callback may end the interval.
        arm();
        callback();
      },
      options,
    );
  };
  arm();
  return () => cancel();
}
