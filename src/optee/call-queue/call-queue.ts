/**
 * The call queue decides who enters secure world when its thread contexts are few.
 *
 * A discipline is a synchronous state machine: no promises, no timers, no input or output. Each method is one section
 * that Linux runs under `cq->mutex` (or, for hand-off, one step of ours), atomic with respect to every other caller.
 * The driver awaits around it, the explorer enumerates it: the same code in both.
 */

export type DisciplineName = 'linux-6.7' | 'patch-v6' | 'linux-6.8' | 'hand-off' | 'hand-off-a' | 'hand-off-c';

/** What a caller does next. */
export type QueueStep =
  /** Enter secure world: make the SMC. */
  | 'call'
  /** Sleep until `CallWaiter.wake` is called (or go on at once when `completed` is already set), then `resume`. */
  | 'sleep'
  /** One more locked section follows; others may run before it. Then `resume`. */
  | 'continue'
  /** Let some time pass (nobody is in flight whose return could wake us), then make the SMC again. */
  | 'pause';

/** One caller's place in the queue, from `enter` to `leave`: Linux's `struct optee_call_waiter`. */
export class CallWaiter {
  /** The call belongs to a system session. */
  system = false;
  /** Hand-off: a relief call, which goes before others. */
  relief = false;
  /** A completion was given and not yet consumed: Linux's `completion_done()`. */
  completed = false;
  /** Where the caller stands between two sections; set by the discipline. */
  phase: WaiterPhase = 'outside';
  /** Hand-off: the number of exits seen when the caller last could enter. */
  exitsSeen = 0;
  /** Neighbours in the list that the waiter is on; owned by `WaiterList`. */
  next: CallWaiter | undefined = undefined;
  previous: CallWaiter | undefined = undefined;
  /**
   * Called, synchronously, whenever the queue gives this waiter its completion; undefined while it is not asleep. It runs
   * inside a section: it must not call the queue. `by` is who left the queue; undefined where a reservation ended.
   */
  wake: ((by: CallWaiter | undefined) => void) | undefined = undefined;

  /** @param label what `CallQueue.state` calls this caller. */
  constructor(readonly label: number) {}
}

export type WaiterPhase =
  /** Not in the queue. */
  | 'outside'
  /** May make its SMC, or is inside secure world. */
  | 'entered'
  /** Asleep before its first SMC: no thread could be claimed. */
  | 'asleep-claim'
  /** Asleep after secure world answered ETHREAD_LIMIT. */
  | 'asleep-thread-limit'
  /** Woken, about to move to the tail of its list (Linux only). */
  | 'requeue-claim'
  | 'requeue-thread-limit'
  /** At the tail, about to try to claim again (Linux only). */
  | 'recheck';

export interface CallQueue {
  readonly discipline: DisciplineName;
  /**
   * ETHREAD_LIMIT is told to the queue in a section of its own: others may go between the answer and it. Linux's
   * callers only go to sleep, which needs no lock.
   */
  readonly thinksOnThreadLimit: boolean;
  /**
   * The driver's own calls are told apart: relief calls are a class that goes before others, and memory for calls of a
   * system session is registered by a system call. Else all these are calls as any other.
   */
  readonly sortsOwnCalls: boolean;
  /**
   * Told of a completion for a caller that is not asleep, who then finds `completed` set. Linux's queues give such also to
   * callers inside secure world. `by` as in `CallWaiter.wake`.
   */
  onUnusedWakeUp: ((waiter: CallWaiter, by: CallWaiter | undefined) => void) | undefined;

  /**
   * A call wants to enter: `optee_cq_wait_init()`. The waiter must be outside.
   * @param relief the call ends or wakes calls that are inside, or gives back what they may wait for, and itself waits for
   *   none of them: a cancellation, a bottom half, the end of a session, the end of a registration. Hand-off lets it go
   *   before others; to Linux's disciplines it is a call as any other.
   */
  enter(waiter: CallWaiter, system: boolean, relief?: boolean): QueueStep;

  /** The next section of a caller that was told to sleep (and has been woken) or to continue. */
  resume(waiter: CallWaiter): QueueStep;

  /** Secure world answered ETHREAD_LIMIT to the caller's SMC. Never answers `continue`. */
  threadLimit(waiter: CallWaiter): QueueStep;

  /** The call returned from secure world for good: `optee_cq_wait_final()`. */
  leave(waiter: CallWaiter): void;

  /** A session asks to become a system session; false when no thread can be reserved for it. */
  reserve(): boolean;

  /** A system session closed: its reservation ends. */
  release(): void;

  /** Everything there is to know, as plain data. */
  state(): QueueState;
}

/** A waiter as plain data. */
export interface WaiterState {
  readonly label: number;
  readonly system: boolean;
  readonly completed: boolean;
  readonly phase: WaiterPhase;
}

/** The state of a discipline as plain data: its lists in order, head first, and its counters under Linux's names. */
export interface QueueState {
  readonly discipline: DisciplineName;
  readonly lists: Readonly<Record<string, readonly WaiterState[]>>;
  readonly counters: Readonly<Record<string, number>>;
}
