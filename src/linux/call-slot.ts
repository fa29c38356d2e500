import { bufDataSize, maxArgSize } from '../uapi/tee.js';

/**
 * What one thread of calls shares with whoever gives it calls: a request, its argument, and what came of it. One side
 * writes while the other waits.
 */

/** What a thread does. */
export const SlotOperation = {
  /** ioctl(2) whose argument is the slot's. */
  ioctl: 1,
  /** ioctl(2) whose argument is a struct tee_ioctl_buf_data that points to the slot's. */
  ioctlBuffer: 2,
  /** mmap(2) of a whole descriptor, shared; the result is the address. */
  map: 3,
  close: 4,
  /**
   * Private pages of zeros take the place of a mapping, and its descriptor is closed: whoever still looks there finds
   * memory.
   */
  unshare: 5,
} as const;
export type SlotOperation = (typeof SlotOperation)[keyof typeof SlotOperation];

export const slotIdle = 0;
export const slotAsked = 1;

/** Words of 32 bits. */
export const SlotWord = {
  /** Whether something is asked for: `slotAsked`. */
  asked: 0,
  /** How often something was answered. */
  answered: 1,
  operation: 2,
  descriptor: 3,
  errno: 4,
  /** 1 while the thread sleeps, or is about to: it must be woken for a request. */
  threadSleeps: 5,
  /** 1 while who asks sleeps, or is about to: it must be woken for an answer. */
  askerSleeps: 6,
  /** How long the thread may spin for the request after this one, in microseconds; 0: not at all. */
  followMicroseconds: 7,
} as const;
/**
 * Numbers behind them: the ioctl's request number or an address, a length, the result, how long the call took (in
 * milliseconds). An address of user space fits into the 53 bits of a number.
 */
const numbersAt = 32;
export const SlotNumber = { request: 0, size: 1, result: 2, took: 3 } as const;
export const bufDataAt = numbersAt + 4 * 8;
export const argAt = bufDataAt + bufDataSize;
export const slotSize = argAt + maxArgSize;

export class CallSlot {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly numbers: Float64Array;
  readonly arg: Uint8Array;

  constructor(readonly memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, numbersAt / 4);
    this.numbers = new Float64Array(memory, numbersAt, 4);
    this.arg = new Uint8Array(memory, argAt, maxArgSize);
  }
}
