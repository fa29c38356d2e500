import type { CallQueue, CallWaiter } from './call-queue.js';
import type { WaiterList } from './waiter-list.js';

/**
 * A call queue whose state can be saved and restored, so that the explorer can visit every reachable state of the
 * production code. The whole state consists of the order of each list, the counters, the fields of each waiter, and
 * `exits`, of which only the difference to the waiters' `exitsSeen` matters.
 */
export interface StorableCallQueue extends CallQueue {
  readonly waiterLists: readonly WaiterList[];
  /** Number of counters that `saveCounters` writes, at most `COUNTER_COUNT`. */
  readonly counterCount: number;
  /** The discipline counts returned calls, to detect an ETHREAD_LIMIT that is older than the last return. */
  readonly countsExits: boolean;
  /** Number of returned calls, if the discipline counts them. */
  exits: number;
  /**
   * `leave` in two halves. A completion given in the first half can be consumed before the second, because
   * `wait_for_completion()` in Linux does not take the lock.
   * @returns whether there is a second half.
   */
  beginLeave?(waiter: CallWaiter): boolean;
  endLeave?(waiter: CallWaiter): void;
  /** Index in `waiterLists` of the waiter's list, by its class. */
  listIndex(waiter: CallWaiter): number;
  /** Write the counters. Counters that only grow and have no effect are written as 0. */
  saveCounters(into: Int32Array): void;
  /** Restore the counters, before the waiters are put on the lists. */
  loadCounters(from: Int32Array): void;
  /** Whether the rules of the discipline would let this sleeper have a thread now. */
  allows(waiter: CallWaiter): boolean;
  /** Whether the waiter holds a thread by the discipline's count, inside secure world or not. */
  holdsClaim(waiter: CallWaiter): boolean;
  /** Number of threads kept for relief calls. */
  threadsForRelief(): number;
  /** Number of threads reserved for system calls. */
  reservedThreads(): number;
  /** Number of granted reservations that have not ended, by the discipline's count. */
  reservationCount(): number;
  /** Number of threads by which the discipline grants claims; 0 if it is unknown or not counted. */
  threadsCounted(): number;
  /**
   * A violated invariant of the state, given the callers that hold a claim and the real number of threads; undefined if
   * there is none.
   * @param reliefClaims claims of relief calls, if these are a class of their own; they are not included in the others.
   */
  violation(
    normalClaims: number,
    systemClaims: number,
    reliefClaims: number,
    secureThreads: number,
  ): Violation | undefined;
}

export type Violation =
  /** Claimed and free threads do not add up to the total. */
  | 'conservation'
  /** A counter is negative or above its maximum. */
  | 'range'
  /** A waiter is behind one that it must precede. */
  | 'order';

/** The largest number of counters of a discipline. */
export const COUNTER_COUNT = 5;
