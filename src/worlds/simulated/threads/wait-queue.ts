import { RpcNotification } from '../../../protocol/optee-rpc-command.js';
import type { Routine } from './routine.js';
import type { Thread } from './thread.js';

export type NotificationFunction = (typeof RpcNotification)[keyof typeof RpcNotification];

/** Sleeps, or wakes another thread: OPTEE_RPC_CMD_NOTIFICATION. Provided by the core. */
export type Notify = (thread: Thread, func: NotificationFunction, sleeper: number) => Routine<void>;

interface Waiter {
  readonly thread: number;
  done: boolean;
  /** The condition that it waits for; it is not woken before the condition is signalled. */
  condition: Condition | undefined;
}

/** A condition variable. Threads wait for it in the wait queue of its mutex. */
export class Condition {}

/**
 * The wait queue of a mutex: threads that sleep in the normal world, each on its own notification value. A wake-up may
 * be spurious, so a woken thread checks its condition again. Source: core/kernel/wait_queue.c, mutex.c.
 */
export class WaitQueue {
  private readonly waiters: Waiter[] = [];

  constructor(private readonly notify: Notify) {}

  /**
   * Join the tail, and sleep until woken. The normal world can also wake it spuriously. The mutex must be released
   * before.
   */
  *wait(thread: Thread, condition?: Condition): Routine<void> {
    const waiter: Waiter = { thread: thread.id, done: false, condition };
    this.waiters.push(waiter);
    if (condition !== undefined) yield* this.wakeNext(thread);
    yield* this.notify(thread, RpcNotification.wait, thread.id);
    this.waiters.splice(this.waiters.indexOf(waiter), 1);
  }

  /** Signal the condition: one of its waiters (or all) will be woken when the mutex is released. */
  signal(condition: Condition, all = false): void {
    for (const waiter of this.waiters) {
      if (waiter.condition !== condition) continue;
      waiter.condition = undefined;
      if (!all) return;
    }
  }

  /** The mutex was released: wake the first thread that may take it. */
  *wakeNext(thread: Thread): Routine<void> {
    for (const waiter of this.waiters) {
      if (waiter.condition !== undefined || waiter.done) continue;
      waiter.done = true;
      yield* this.notify(thread, RpcNotification.send, waiter.thread);
      return;
    }
  }

  /** Whether no thread waits. */
  get empty(): boolean {
    return this.waiters.length === 0;
  }
}

/** A mutex of OP-TEE's core. A thread that waits for it sleeps in the normal world and keeps its context. */
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
