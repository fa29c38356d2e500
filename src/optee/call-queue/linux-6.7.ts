import type { QueueState } from './call-queue.js';
import { LinuxCallQueue } from './linux-call-queue.js';
import { WaiterList } from './waiter-list.js';

/**
 * Linux up to 6.7: one list, no counting. Every caller makes its SMC, and secure world's ETHREAD_LIMIT alone decides
 * who sleeps. There are no system sessions.
 */
export class Linux67CallQueue extends LinuxCallQueue {
  readonly discipline = 'linux-6.7';
  readonly waiters = new WaiterList();

  protected listOf(): WaiterList {
    return this.waiters;
  }

  protected claim(): boolean {
    return true;
  }

  protected unclaim(): void {}

  protected completeOne(): void {
    this.completeFirst(this.waiters);
  }

  protected checkConservation(): void {}

  reserve(): boolean {
    return false;
  }

  release(): void {}

  state(): QueueState {
    return { discipline: this.discipline, lists: { waiters: this.waiters.state() }, counters: {} };
  }
}
