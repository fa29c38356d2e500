/**
 * The call queue decides which calls may enter secure world when there are more calls than thread contexts.
 *
 * A discipline is a synchronous state machine: no promises, timers, input or output. Each method is one section that
 * Linux runs under `cq->mutex` (for hand-off, one step of ours). It is atomic with respect to all other callers. The
 * driver awaits between sections, and the explorer enumerates them: both use the same code.
 */

export type DisciplineName = 'linux-6.7' | 'patch-v6' | 'linux-6.8' | 'hand-off' | 'hand-off-a' | 'hand-off-c';

/** What a caller must do next. */
export type QueueStep =
  /** Enter secure world: make the SMC. */
  | 'call'
  /**
   * Sleep until `CallWaiter.wake` is called (or continue at once if `completed` is already set), then call `resume`.
   */
  | 'sleep'
  /** Call `resume`: another section follows, and sections of other callers may run before it. */
  | 'continue'
  /** Wait for some time, then make the SMC again: no call is in flight whose return could wake this one. */
  | 'pause';

/** A caller in the queue, from `enter` to `leave`: Linux's `struct optee_call_waiter`. */
export class CallWaiter {
  /** The call belongs to a system session. */
  system = false;
  /** Hand-off: a relief call, which goes before others. */
  relief = false;
  /** A completion was given and is not consumed yet: Linux's `completion_done()`. */
  completed = false;
  /** The caller's state between two sections; set by the discipline. */
  phase: WaiterPhase = 'outside';
  /** Hand-off: the value of `exits` when the caller last could enter. */
  exitsSeen = 0;
  /** Links of the list that the waiter is on; owned by `WaiterList`. */
  next: CallWaiter | undefined = undefined;
  previous: CallWaiter | undefined = undefined;
  /**
   * Called synchronously when the queue gives this waiter its completion; undefined while the waiter is not asleep. It
   * runs inside a section and must not call the queue. `by` is the caller that left the queue; undefined if the reason
   * is the end of a reservation.
   */
  wake: ((by: CallWaiter | undefined) => void) | undefined = undefined;

  /** @param label the caller's name in `CallQueue.state`. */
  constructor(readonly label: number) {}
}

export type WaiterPhase =
  /** Not in the queue. */
  | 'outside'
  /** May make its SMC, or is in secure world. */
  | 'entered'
  /** Asleep before its first SMC, because it could not claim a thread. */
  | 'asleep-claim'
  /** Asleep after ETHREAD_LIMIT. */
  | 'asleep-thread-limit'
  /** Woken, and about to move to the tail of its list (Linux only). */
  | 'requeue-claim'
  | 'requeue-thread-limit'
  /** At the tail, and about to claim again (Linux only). */
  | 'recheck';

export interface CallQueue {
  readonly discipline: DisciplineName;
  /**
   * ETHREAD_LIMIT is passed to the queue in a section of its own, so other sections may run between the answer and that
   * section. Callers in Linux only go to sleep then, which needs no lock.
   */
  readonly thinksOnThreadLimit: boolean;
  /**
   * The discipline distinguishes the driver's own calls: relief calls are a class that goes before others, and memory
   * for calls of a system session is registered by a system call. Otherwise all of these are ordinary calls.
   */
  readonly sortsOwnCalls: boolean;
  /**
   * Called for a completion given to a caller that is not asleep; that caller finds `completed` set later. Linux's
   * queues also complete callers that are in secure world. `by` is as in `CallWaiter.wake`.
   */
  onUnusedWakeUp: ((waiter: CallWaiter, by: CallWaiter | undefined) => void) | undefined;

  /**
   * A call wants to enter: `optee_cq_wait_init()`. The waiter must be outside.
   * @param relief the call ends or wakes calls that are inside, or releases something that they may wait for, and waits
   * for none of them itself: a cancellation, a bottom half, the close of a session, the end of a registration. Hand-off
   * lets it go before others; for Linux's disciplines it is an ordinary call.
   */
  enter(waiter: CallWaiter, system: boolean, relief?: boolean): QueueStep;

  /** The next section of a caller after `sleep` (when it has been woken) or `continue`. */
  resume(waiter: CallWaiter): QueueStep;

  /** Secure world answered ETHREAD_LIMIT to the caller's SMC. Never returns `continue`. */
  threadLimit(waiter: CallWaiter): QueueStep;

  /** The call has returned from secure world and is complete: `optee_cq_wait_final()`. */
  leave(waiter: CallWaiter): void;

  /** Reserve a thread for a system session; false if no thread can be reserved. */
  reserve(): boolean;

  /** A system session was closed, which ends its reservation. */
  release(): void;

  /** The complete state as plain data. */
  state(): QueueState;
}

/** A waiter as plain data. */
export interface WaiterState {
  readonly label: number;
  readonly system: boolean;
  readonly completed: boolean;
  readonly phase: WaiterPhase;
}

/**
 * The state of a discipline as plain data: its lists in order, head first, and its counters under the names in Linux.
 */
export interface QueueState {
  readonly discipline: DisciplineName;
  readonly lists: Readonly<Record<string, readonly WaiterState[]>>;
  readonly counters: Readonly<Record<string, number>>;
}
