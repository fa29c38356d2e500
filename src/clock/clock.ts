import { startTimer } from './timer.js';

/** Time as the driver and the simulated world see it: the machine's in production, virtual under a scheduler. */
export interface Clock {
  /** Milliseconds, monotonic, from an arbitrary start. */
  now(): number;
  /** Milliseconds since 1970-01-01 00:00 UTC. */
  wallClock(): number;
  /**
   * Call back after `ms` milliseconds (at least; 0 allowed; Infinity: never). The function returned cancels it.
   * @throws RangeError for a number that is no time.
   */
  setTimer(ms: number, callback: () => void): () => void;
}

/** Wait on a clock; ends early, without an error, when the signal is aborted. */
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

// Read once: in Node the global is a getter, which costs more than the time of day.
const { performance } = globalThis;

/** The machine's clock. */
export const machineClock: Clock = {
  now: () => performance.now(),
  wallClock: () => Date.now(),
  setTimer: (ms, callback) => startTimer(ms, callback),
};
