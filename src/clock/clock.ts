import { startTimer } from './timer.js';

/**
 * The time source of the driver and the simulated world: the machine's clock in production, a virtual clock in tests.
 */
export interface Clock {
  /** Milliseconds, monotonic, from an arbitrary start. */
  now(): number;
  /** Milliseconds since 1970-01-01 00:00 UTC. */
  wallClock(): number;
  /**
   * Calls `callback` once, `ms` milliseconds from now or later. The returned function cancels the timer.
   * @param ms 0 or more; with Infinity the callback is never called.
   * @throws RangeError for a negative number or NaN.
   */
  setTimer(ms: number, callback: () => void): () => void;
}

/** Wait for `ms` milliseconds on a clock. Resolves early, without an error, when the signal is aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const cancel = clock.setTimer(ms, () => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    });
    const aborted = () => {
      cancel();
      resolve();
    };
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

// Read once: in Node the global is a getter, and calling it costs more than `performance.now()`.
const { performance } = globalThis;

/** The machine's clock. */
export const machineClock: Clock = {
  now: () => performance.now(),
  wallClock: () => Date.now(),
  setTimer: (ms, callback) => startTimer(ms, callback),
};
