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

/** Words of 32 bits: whether something is asked for, how often something was answered, the operation, descriptor, errno. */
export const SlotWord = { asked: 0, answered: 1, operation: 2, descriptor: 3, errno: 4, length: 5 } as const;
/** Words of 64 bits, behind them: the ioctl's request number or an address, a length, the result. */
const wideAt = 32;
export const SlotWide = { request: 0, size: 1, result: 2 } as const;
export const bufDataAt = wideAt + 3 * 8 + 8;
export const argAt = bufDataAt + bufDataSize;
export const slotSize = argAt + maxArgSize;

export class CallSlot {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly wide: BigInt64Array;
  readonly arg: Uint8Array;

  constructor(readonly memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, wideAt / 4);
    this.wide = new BigInt64Array(memory, wideAt, 3);
    this.arg = new Uint8Array(memory, argAt, maxArgSize);
  }
}
