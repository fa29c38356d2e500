import { RpcNotification } from '../../../protocol/optee-rpc-command.js';
import type { Routine } from './routine.js';
import type { Thread } from './thread.js';

export type NotificationFunction = (typeof RpcNotification)[keyof typeof RpcNotification];

/** How a thread sleeps and wakes another: OPTEE_RPC_CMD_NOTIFICATION. Given by the core. */
export type Notify = (thread: Thread, func: NotificationFunction, sleeper: number) => Routine<void>;

interface Waiter {
  readonly thread: number;
  done: boolean;
  /** Waits for a condition; not woken before that is signalled. */
  condition: Condition | undefined;
}

/** A condition variable: threads wait for it in the queue of the mutex it belongs to. */
export class Condition {}

/**
 * The wait queue of a mutex: threads that sleep in the normal world, each on its own notification value. A wake-up may
 * be spurious: whoever wakes looks again. Source: core/kernel/wait_queue.c, mutex.c.
 */
export class WaitQueue {
  private readonly waiters: Waiter[] = [];

  constructor(private readonly notify: Notify) {}

  /** Join the tail and sleep until woken (or until the normal world says so). The queue's mutex is let go before. */
  *wait(thread: Thread, condition?: Condition): Routine<void> {
    const waiter: Waiter = { thread: thread.id, done: false, condition };
    this.waiters.push(waiter);
    if (condition !== undefined) yield* this.wakeNext(thread);
    yield* this.notify(thread, RpcNotification.wait, thread.id);
    this.waiters.splice(this.waiters.indexOf(waiter), 1);
  }

  /** The condition came true: one of those who wait for it (or all) will be woken when the mutex is let go. */
  signal(condition: Condition, all = false): void {
    for (const waiter of this.waiters) {
      if (waiter.condition !== condition) continue;
      waiter.condition = undefined;
      if (!all) return;
    }
  }

  /** The mutex was let go: wake the first that may have it. */
  *wakeNext(thread: Thread): Routine<void> {
    for (const waiter of this.waiters) {
      if (waiter.condition !== undefined || waiter.done) continue;
      waiter.done = true;
      yield* this.notify(thread, RpcNotification.send, waiter.thread);
      return;
    }
  }

  /** Nobody is asleep. */
  get empty(): boolean {
    return this.waiters.length === 0;
  }
}

/** A mutex of OP-TEE's core. A thread that must wait for it sleeps in the normal world, keeping its context. */
export class Mutex {
  private locked = false;

  constructor(private readonly queue: WaitQueue) {}

  *lock(thread: Thread): Routine<void> {
    while (this.locked) yield* this.queue.wait(thread);
    this.locked = true;
  }

  *unlock(thread: Thread): Routine<void> {
    if (!this.locked) throw new Error('a mutex was unlocked that is not held');
    this.locked = false;
    yield* this.queue.wakeNext(thread);
  }
}
