// Read once: in Node the global is a getter, and calling it costs more than `performance.now()`.
const { performance } = globalThis;

/** Polls between two reads of the clock. Reading it is slow in an emulated machine. */
const pollsPerLook = 512;

/**
 * Poll for a bounded time. This is the first of two stages of a wait, because a sleep and a wake-up cost more than a
 * short wait; if it is not sufficient, the caller sleeps. It blocks the event loop.
 * @returns whether `isDone` returned true within the time.
 */
export function spinUntil(isDone: () => boolean, milliseconds: number): boolean {
  if (milliseconds === 0) return false;
  const end = performance.now() + milliseconds;
  do {
    for (let poll = 0; poll < pollsPerLook; poll++) if (isDone()) return true;
  } while (performance.now() < end);
  return false;
}

/**
 * Consecutive spins, between which the owner lets the event loop turn. A turn is due when the spins since the last one
 * have taken as long as one spin may take, or 20 times as long as a turn takes, at most `mostMs`.
 */
export class BoundedSpin {
  /** Milliseconds spent spinning since the last known turn of the event loop. */
  private spunMs = 0;
  private turnAfterMs: number;

  /** @param longestMs the maximum duration of one spin in milliseconds; 0: never spin. */
  constructor(
    private readonly longestMs: number,
    private readonly mostMs = longestMs,
  ) {
    this.turnAfterMs = longestMs;
  }

  /** Whether `isDone` returned true during the spin. */
  until(isDone: () => boolean): boolean {
    const began = performance.now();
    const done = spinUntil(isDone, this.longestMs);
    this.spunMs += performance.now() - began;
    return done;
  }

  /** Whether the event loop must turn before the next spin. */
  get mustTurn(): boolean {
    return this.spunMs >= this.turnAfterMs;
  }

  /**
   * The event loop has turned, or will turn before the next spin. @param tookMs the duration of the turn, if it is
   * known.
   */
  turned(tookMs?: number): void {
    this.spunMs = 0;
    if (tookMs !== undefined) this.turnAfterMs = Math.min(Math.max(turnShare * tookMs, this.longestMs), this.mostMs);
  }
}

const turnShare = 20;
