import { availableParallelism } from 'node:os';
import { BoundedSpin } from '../clock/bounded-spin.js';

// Read once: in Node the global is a getter.
const { performance } = globalThis;

/** How long a caller busy-waits for an answer before it sleeps. With one processor that would only delay the answer. */
export const usualSpinMicroseconds = availableParallelism() > 1 ? 2000 : 0;
/** A thread busy-waits this much longer for its next call: it blocks no other call, and its caller may wake up slowly. */
const followFactor = 2;
/** Longest time that busy-waiting blocks the event loop if turning it is expensive. Milliseconds. */
const mostSpunMs = 4;

/** After this many consecutive unsuccessful busy-waits, only one in this many is still made. */
const vainSpins = 16;

/**
 * Decides by the rate and duration of calls which side busy-waits. A caller does if the last call was short, a thread if
 * the last call followed soon; neither does after many unsuccessful busy-waits, as on a loaded machine.
 */
export class CallPace {
  readonly spin: BoundedSpin;
  private readonly spinMs: number;
  /** Duration of the last call in the kernel, and the time of its answer, in milliseconds. */
  private tookMs = 0;
  private answeredAt = Number.NEGATIVE_INFINITY;
  /** Number of consecutive unsuccessful busy-waits, of callers and of threads. */
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
   * @returns how long this thread may busy-wait for the next call, in microseconds.
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

  /** Busy-wait for the call. @returns whether it completed meanwhile. */
  spinFor(isDone: () => boolean): boolean {
    if (this.spinMs === 0 || this.tookMs > this.spinMs || this.spin.mustTurn) return false;
    const done = isWorthwhile(this.vain) && this.spin.until(isDone);
    this.vain = done ? 0 : this.vain + 1;
    return done;
  }

  /** @param tookMs duration in the kernel. */
  answered(tookMs: number): void {
    this.tookMs = tookMs;
    this.answeredAt = performance.now();
  }
}

const isWorthwhile = (vain: number) => vain < vainSpins || vain % vainSpins === 0;
