/** The longest delay of setTimeout in milliseconds, 2^31-1. Platforms treat a longer one as 1 ms. */
const longestMs = 0x7fff_ffff;

export interface TimerOptions {
  /** The timer does not keep a Node process alive (`unref`). */
  readonly background?: boolean;
}

/**
 * Call back once after `ms` milliseconds of the machine's time, also beyond the limit of setTimeout. This is the only
 * place that calls setTimeout with a delay, so the limit is handled in one place.
 * @param ms 0 or more; with Infinity the callback is never called.
 * @returns cancels the timer; does nothing after the callback.
 * @throws RangeError for a negative number or NaN.
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
 * Call back every `ms` milliseconds.
 * @param ms values below 1 are taken as 1; with Infinity the callback is never called.
 * @returns ends the interval.
 * @throws RangeError for NaN.
 */
export function startInterval(ms: number, callback: () => void, options: TimerOptions = {}): () => void {
  const pause = ms < 1 ? 1 : ms;
  let cancel: () => void;
  const arm = () => {
    cancel = startTimer(
      pause,
      () => {
        // Armed before the callback, because the callback may end the interval.
        arm();
        callback();
      },
      options,
    );
  };
  arm();
  return () => cancel();
}
