import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import type { WaitQueue } from '../threads/wait-queue.js';
import { Condition } from '../threads/wait-queue.js';
import type { TaInstance } from './ta-session.js';
import { noThread } from './ta-session.js';

/**
 * Locks for execution in instances: one thread at a time in each instance, and one thread at a time in all
 * single-instance applications together, because OP-TEE has one lock for them (CFG_CONCURRENT_SINGLE_INSTANCE_TA=n). A
 * concurrent pseudo-TA needs neither.
 */
export class BusyLocks {
  /** The thread that executes in single-instance applications, and its nesting depth. */
  private singleThread = noThread;
  private depth = 0;
  private readonly free = new Condition();

  constructor(private readonly waiters: WaitQueue) {}

  /** tee_ta_try_set_busy() without waiting. False: the lock is not free. */
  tryTakeNow(instance: TaInstance, thread: Thread): boolean {
    if (instance.flags.concurrent) return true;
    if (instance.busy || (instance.flags.singleInstance && this.singleThread !== noThread)) return false;
    if (instance.flags.singleInstance) {
      this.singleThread = thread.id;
      this.depth = 1;
    }
    instance.busy = true;
    return true;
  }

  /** tee_ta_try_set_busy(): waits for the lock. False if waiting would be a deadlock with the thread itself. */
  *tryTake(instance: TaInstance, thread: Thread): Routine<boolean> {
    if (instance.flags.singleInstance) {
      if (this.singleThread !== thread.id) {
        while (this.singleThread !== noThread) yield* this.waiters.wait(thread, this.free);
        this.singleThread = thread.id;
      }
      this.depth++;
    }
    if (this.singleThread === thread.id) {
      if (instance.busy) {
        if (instance.flags.singleInstance) this.unlockSingleInstance();
        return false;
      }
    } else {
      while (instance.busy) yield* this.waiters.wait(thread, instance.busyCondition);
    }
    instance.busy = true;
    return true;
  }

  /** tee_ta_clear_busy(). */
  *clearBusy(instance: TaInstance, thread: Thread): Routine<void> {
    if (instance.flags.concurrent) return;
    instance.busy = false;
    this.waiters.signal(instance.busyCondition);
    if (instance.flags.singleInstance) this.unlockSingleInstance();
    if (!this.waiters.empty) yield* this.waiters.wakeNext(thread);
  }

  private unlockSingleInstance(): void {
    this.depth--;
    if (this.depth > 0) return;
    this.singleThread = noThread;
    this.waiters.signal(this.free);
  }
}
