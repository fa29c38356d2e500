import { seededRandom } from '../dist/clock/random.js';

/** Extreme numbers: the limits of each integer width, and one beyond. */
export const absurd = [
  ...[0, 1, 3, 4095, 4096, 4097, 65_535, 65_536],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 34 + 1, 2 ** 40],
  ...[2 ** 52, Number.MAX_SAFE_INTEGER, 2 ** 53, 2 ** 60, 2 ** 63, 2 ** 64 - 2 ** 11],
];

/** Values that are neither a valid number in a message nor a result. */
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

/** Random draws from one seed. Each actor has its own stream, so that one more draw does not change the others. */
export class Draws {
  constructor(seed) {
    this.random = seededRandom(seed);
  }

  upTo(limit) {
    return Math.floor(this.random() * limit);
  }

  /** True with this probability. */
  chance(share) {
    return this.random() < share;
  }

  of(list) {
    return list[this.upTo(list.length)];
  }

  bytes(length) {
    return Uint8Array.from({ length }, () => this.upTo(256));
  }

  /** Another independent stream. */
  fork() {
    return new Draws(this.upTo(2 ** 32));
  }
}
