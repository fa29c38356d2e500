// Read once: in Node the global is a getter, which costs more than the time of day.
const { performance } = globalThis;

/** Polls between two reads of the clock. */
const pollsPerLook = 64;

/**
 * Poll for a bounded time: the first of two stages of a wait, because a sleep and a wake-up cost more than a short wait.
 * The caller sleeps if that was not long enough. It blocks the event loop.
 * @returns whether it was done in that time.
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
 * Spins that follow each other, whose owner lets the event loop turn in between. A turn is due when the spins since the
 * last one took as long as a single spin may, or 20 times as long as a turn takes, up to `mostMs`.
 */
export class BoundedSpin {
  /** How long was spun since the event loop last turned for sure, in milliseconds. */
  private spunMs = 0;
  private turnAfterMs: number;

  /** @param longestMs of one spin; 0: never. */
  constructor(
    private readonly longestMs: number,
    private readonly mostMs = longestMs,
  ) {
    this.turnAfterMs = longestMs;
  }

  /** Whether it was done while it was spun for. */
  until(isDone: () => boolean): boolean {
    const began = performance.now();
    const done = spinUntil(isDone, this.longestMs);
    this.spunMs += performance.now() - began;
    return done;
  }

  /** Whether the event loop has to turn before more is spun. */
  get mustTurn(): boolean {
    return this.spunMs >= this.turnAfterMs;
  }

  /** The event loop has turned, or will before the next spin. @param tookMs how long that took, where it is known. */
  turned(tookMs?: number): void {
    this.spunMs = 0;
    if (tookMs !== undefined) this.turnAfterMs = Math.min(Math.max(turnShare * tookMs, this.longestMs), this.mostMs);
  }
}

const turnShare = 20;
