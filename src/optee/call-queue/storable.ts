import type { CallQueue, CallWaiter } from './call-queue.js';
import type { WaiterList } from './waiter-list.js';

/**
 * A call queue whose state can be taken out and put back, so that every reachable state of the code that runs can be
 * visited. The whole state is: the order in each list, the counters, each waiter's own fields, and `exits`, of which
 * only its difference to the waiters' `exitsSeen` matters.
 */
export interface StorableCallQueue extends CallQueue {
  readonly waiterLists: readonly WaiterList[];
  /** How many counters `saveCounters` writes, at most `COUNTER_COUNT`. */
  readonly counterCount: number;
  /** It counts returned calls: an ETHREAD_LIMIT that is older than the last of them is told by that. */
  readonly countsExits: boolean;
  /** Returned calls, where the discipline counts them. */
  exits: number;
  /**
   * `leave` in two halves, where a completion given in the first can be consumed before the second (which Linux's lock
   * does not prevent: `wait_for_completion()` needs none).
   * @returns whether there is a second half.
   */
  beginLeave?(waiter: CallWaiter): boolean;
  endLeave?(waiter: CallWaiter): void;
  /** Which of `waiterLists` the waiter stands on, judged by its class. */
  listIndex(waiter: CallWaiter): number;
  /** Writes the counters; those that grow without deciding anything are written as 0. */
  saveCounters(into: Int32Array): void;
  /** Takes the counters back, before the waiters are put on the lists. */
  loadCounters(from: Int32Array): void;
  /** The discipline's rules would let this sleeper have a thread now. */
  allows(waiter: CallWaiter): boolean;
  /** The waiter holds a thread by the discipline's count, inside secure world or not. */
  holdsClaim(waiter: CallWaiter): boolean;
  /** Threads kept for relief calls. */
  threadsForRelief(): number;
  /** Threads set aside for system calls. */
  reservedThreads(): number;
  /** Reservations that were granted and have not ended, by the discipline's count. */
  reservationCount(): number;
  /** Threads that the discipline goes by when it grants a claim; 0: it does not know or does not count. */
  threadsCounted(): number;
  /**
   * What is wrong with the state, given the callers who hold a claim and the threads that secure world really has;
   * undefined when nothing is.
   * @param reliefClaims where relief calls are a class of their own: theirs, which are none of the others.
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
  /** A counter is below zero or above what there can be. */
  | 'range'
  /** A waiter stands behind one that it should be before. */
  | 'order';

/** How many counters a discipline has at most. */
export const COUNTER_COUNT = 5;
