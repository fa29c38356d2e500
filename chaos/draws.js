import { seededRandom } from '../dist/clock/random.js';

/** Numbers that no program expects where it gets them: the ends of each width, and one beyond. */
export const absurd = [
  ...[0, 1, 3, 4095, 4096, 4097, 65_535, 65_536],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 34 + 1, 2 ** 40],
  ...[2 ** 52, Number.MAX_SAFE_INTEGER, 2 ** 53, 2 ** 60, 2 ** 63, 2 ** 64 - 2 ** 11],
];

/** What is neither a number of a message nor a result, for whatever asks for one. */
export const nonsense = [
  -1,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  undefined,
  null,
  'text',
  {},
  () => 0,
  ...absurd,
];

/** Draws from one seed. Each actor gets its own, so that one more draw of one does not change the others. */
export class Draws {
  constructor(seed) {
    this.random = seededRandom(seed);
  }

  upTo(limit) {
    return Math.floor(this.random() * limit);
  }

  /** True so often. */
  chance(share) {
    return this.random() < share;
  }

  of(list) {
    return list[this.upTo(list.length)];
  }

  bytes(length) {
    return Uint8Array.from({ length }, () => this.upTo(256));
  }

  /** Another stream of draws. */
  fork() {
    return new Draws(this.upTo(2 ** 32));
  }
}
