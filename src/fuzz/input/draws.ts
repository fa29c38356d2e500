/** Draws from one seed, whose state can be kept and taken up again: the generator of `clock/random.ts`, mulberry32. */
export class Draws {
  constructor(private state: number) {
    this.state = state >>> 0;
  }

  /** 32 bits: made with it, a generator goes on where this one stands. */
  get position(): number {
    return this.state;
  }

  /** From 0 to below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** An integer from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  /** @throws RangeError for an empty list. */
  of<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to draw from');
    return list[this.below(list.length)] as T;
  }
}
