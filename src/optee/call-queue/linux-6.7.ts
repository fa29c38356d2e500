import type { CallWaiter, QueueState } from './call-queue.js';
import { LinuxCallQueue } from './linux-call-queue.js';
import { WaiterList } from './waiter-list.js';

/**
 * Linux up to 6.7: one list without counting. Every caller makes its SMC, and only ETHREAD_LIMIT from secure world
 * decides which callers sleep. There are no system sessions.
 */
export class Linux67CallQueue extends LinuxCallQueue {
  readonly discipline = 'linux-6.7';
  private readonly waiters = new WaiterList();
  readonly waiterLists = [this.waiters];
  readonly counterCount = 0;

  listIndex(): number {
    return 0;
  }

  protected mayClaim(): boolean {
    return true;
  }

  protected claim(): void {}

  protected unclaim(): void {}

  protected completeOne(by?: CallWaiter): void {
    this.completeFirst(this.waiters, by);
  }

  reserve(): boolean {
    return false;
  }

  release(): void {}

  reservedThreads(): number {
    return 0;
  }

  reservationCount(): number {
    return 0;
  }

  override threadsCounted(): number {
    return 0;
  }

  saveCounters(): void {}

  loadCounters(): void {}

  violation(): undefined {}

  state(): QueueState {
    return { discipline: this.discipline, lists: { waiters: this.waiters.state() }, counters: {} };
  }
}
