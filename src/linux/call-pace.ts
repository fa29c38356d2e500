import { availableParallelism } from 'node:os';
import { BoundedSpin } from '../clock/bounded-spin.js';

// Read once: in Node the global is a getter.
const { performance } = globalThis;

/** How long a caller spins for an answer before it sleeps. With one processor that would only delay the answer. */
export const usualSpinMicroseconds = availableParallelism() > 1 ? 1000 : 0;
/** How much longer a thread spins for its next call: it blocks nobody, and its caller may wake up slowly. */
const followFactor = 2;
/** The longest that spins block the event loop, where turning it is expensive. */
const mostSpunMs = 4;

/** After so many spins in a row that were in vain, only every so many-th is still made. */
const vainSpins = 16;

/**
 * How fast calls follow each other, and how long they take: it decides which side spins. A caller spins when the last call
 * was short, a thread when the last call came soon; neither when many spins before were in vain, as on a busy machine.
 */
export class CallPace {
  readonly spin: BoundedSpin;
  private readonly spinMs: number;
  /** How long the last call was in the kernel, and when it was answered, in milliseconds. */
  private tookMs = 0;
  private answeredAt = Number.NEGATIVE_INFINITY;
  /** Spins in a row that were in vain, of callers and of threads. */
  private vain = 0;
  private vainFollowing = 0;
  private following = false;

  constructor(spinMicroseconds: number) {
    this.spinMs = spinMicroseconds / 1000;
    this.spin = new BoundedSpin(this.spinMs, Math.max(this.spinMs, mostSpunMs));
  }

  /**
   * A call begins.
   * @param sleeps the thread that makes it sleeps.
   * @returns how long this thread may spin for the call after it, in microseconds.
   */
  asked(sleeps: boolean): number {
    if (this.spinMs === 0) return 0;
    const soon = performance.now() - this.answeredAt <= this.spinMs;
    if (!sleeps) this.vainFollowing = 0;
    else if (soon && this.following) this.vainFollowing++;
    this.following = soon && isWorthwhile(this.vainFollowing);
    if (soon && !this.following) this.vainFollowing++;
    return this.following ? followFactor * this.spinMs * 1000 : 0;
  }

  /** Whether the call was done while it was spun for. */
  spinFor(isDone: () => boolean): boolean {
    if (this.spinMs === 0 || this.tookMs > this.spinMs || this.spin.mustTurn) return false;
    const done = isWorthwhile(this.vain) && this.spin.until(isDone);
    this.vain = done ? 0 : this.vain + 1;
    return done;
  }

  /** @param tookMs in the kernel. */
  answered(tookMs: number): void {
    this.tookMs = tookMs;
    this.answeredAt = performance.now();
  }
}

const isWorthwhile = (vain: number) => vain < vainSpins || vain % vainSpins === 0;
