import { CallQueueAssertion } from './assertion.js';
import type { CallWaiter, QueueState } from './call-queue.js';
import { LinuxCallQueue } from './linux-call-queue.js';
import { WaiterList } from './waiter-list.js';

/**
 * Linux since 6.8 ("tee: optee: support tracking system threads"): one list in which system waiters are completed
 * first; every call claims a thread, and while any system session exists a normal call leaves one free.
 */
export class Linux68CallQueue extends LinuxCallQueue {
  readonly discipline = 'linux-6.8';
  readonly waiters = new WaiterList();
  freeThreadCount: number;
  /** System sessions; all of them share the one thread that normal calls leave free. */
  sysThreadReqCount = 0;
  private claimed = 0;

  constructor(totalThreadCount: number) {
    super(totalThreadCount);
    this.freeThreadCount = totalThreadCount;
  }

  protected listOf(): WaiterList {
    return this.waiters;
  }

  protected claim(waiter: CallWaiter): boolean {
    if (this.totalThreadCount === 0) return true;
    const threshold = waiter.system || this.sysThreadReqCount === 0 ? 0 : 1;
    if (this.freeThreadCount <= threshold) return false;
    this.freeThreadCount--;
    this.claimed++;
    return true;
  }

  protected unclaim(): void {
    // Also when untracked: the count then only grows, and decides nothing.
    this.freeThreadCount++;
    this.claimed--;
  }

  protected completeOne(): void {
    if (!this.completeFirst(this.waiters, true)) this.completeFirst(this.waiters);
  }

  protected checkConservation(): void {
    if (this.totalThreadCount !== 0 && this.claimed + this.freeThreadCount !== this.totalThreadCount) {
      throw new CallQueueAssertion(
        `claimed ${this.claimed} + free ${this.freeThreadCount} is not total ${this.totalThreadCount}`,
      );
    }
  }

  reserve(): boolean {
    if (this.totalThreadCount <= 1) return false;
    this.sysThreadReqCount++;
    return true;
  }

  release(): void {
    if (this.sysThreadReqCount === 0) throw new CallQueueAssertion('release: no system session is counted');
    this.sysThreadReqCount--;
    this.completeOne();
  }

  state(): QueueState {
    return {
      discipline: this.discipline,
      lists: { waiters: this.waiters.state() },
      counters: { free_thread_count: this.freeThreadCount, sys_thread_req_count: this.sysThreadReqCount },
    };
  }
}
