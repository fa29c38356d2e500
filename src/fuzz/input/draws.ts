/** A random generator whose state can be saved and restored: mulberry32, as in `clock/random.ts`. */
export class Draws {
  constructor(private state: number) {
    this.state = state >>> 0;
  }

  /** The state, 32 bits. A generator created with it continues the sequence. */
  get position(): number {
    return this.state;
  }

  /** A number in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** An integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  /** An element of a list. @throws RangeError if the list is empty. */
  of<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to draw from');
    return list[this.below(list.length)] as T;
  }
}
