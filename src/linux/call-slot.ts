import { bufDataSize, maxArgSize } from '../uapi/tee.js';

/**
 * Memory shared by a thread for blocking calls and the threads that give it calls: the request, its argument, the
 * result. Only one side writes while the other waits.
 */

/** The operations of the thread. */
export const SlotOperation = {
  /** ioctl(2) with the argument in the slot. */
  ioctl: 1,
  /** ioctl(2) with a struct tee_ioctl_buf_data that points to the argument in the slot. */
  ioctlBuffer: 2,
  /** mmap(2) of a whole descriptor with MAP_SHARED; the result is the address. */
  map: 3,
  close: 4,
  /**
   * Replace a mapping with private zero pages and close its descriptor. Later accesses to the address then do not
   * fault.
   */
  unshare: 5,
} as const;
export type SlotOperation = (typeof SlotOperation)[keyof typeof SlotOperation];

export const slotIdle = 0;
export const slotAsked = 1;

/** Indices of the 32-bit words. */
export const SlotWord = {
  /** `slotAsked` if there is a request. */
  asked: 0,
  /** Number of answers. */
  answered: 1,
  operation: 2,
  descriptor: 3,
  errno: 4,
  /** 1 while the thread sleeps or is about to sleep: it must be woken for a request. */
  threadSleeps: 5,
  /** 1 while the caller sleeps or is about to sleep: it must be woken for an answer. */
  askerSleeps: 6,
  /** How long the thread may busy-wait for the next request, in microseconds. */
  followMicroseconds: 7,
  /** The kernel's id of the thread; 0 until it has started. */
  threadId: 8,
} as const;
/**
 * Numbers behind them: the ioctl's request number or an address, a length, the result, how long the call took (in
 * milliseconds). An address of user space fits into the 53 bits of a number.
 */
const numbersAt = 40;
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
