import { CallQueueAssertion } from './assertion.js';
import type { CallWaiter, QueueState } from './call-queue.js';
import { LinuxCallQueue } from './linux-call-queue.js';
import { WaiterList } from './waiter-list.js';

/**
 * The sixth revision of "tee: optee: support tracking system threads" (linux-kernel, 5 May 2023), exactly as posted:
 * two lists; a normal call claims one of the threads that are not reserved, a system call claims nothing; each system
 * session reserves a thread of its own as long as one stays normal.
 */
export class PatchV6CallQueue extends LinuxCallQueue {
  readonly discipline = 'patch-v6';
  readonly normalWaiters = new WaiterList();
  readonly sysWaiters = new WaiterList();
  /** May go below zero: `reserve` takes a thread from the count even when a normal call holds it. */
  freeNormalThreadCount: number;
  resSysThreadCount = 0;
  private normalClaimed = 0;

  constructor(totalThreadCount: number) {
    super(totalThreadCount);
    this.freeNormalThreadCount = totalThreadCount;
  }

  protected listOf(waiter: CallWaiter): WaiterList {
    return waiter.system ? this.sysWaiters : this.normalWaiters;
  }

  protected claim(waiter: CallWaiter): boolean {
    if (waiter.system || this.totalThreadCount === 0) return true;
    if (this.freeNormalThreadCount <= 0) return false;
    this.freeNormalThreadCount--;
    this.normalClaimed++;
    return true;
  }

  protected unclaim(waiter: CallWaiter): void {
    if (waiter.system) return;
    // Also when untracked: the count then only grows, and decides nothing.
    this.freeNormalThreadCount++;
    this.normalClaimed--;
  }

  protected completeOne(): void {
    if (this.completeFirst(this.sysWaiters)) return;
    if (this.totalThreadCount === 0 || this.freeNormalThreadCount > 0) this.completeFirst(this.normalWaiters);
  }

  protected checkConservation(): void {
    if (this.totalThreadCount === 0) return;
    const counted = this.normalClaimed + this.freeNormalThreadCount + this.resSysThreadCount;
    if (counted !== this.totalThreadCount) {
      throw new CallQueueAssertion(`claimed + free + reserved is ${counted}, total ${this.totalThreadCount}`);
    }
  }

  reserve(): boolean {
    if (this.resSysThreadCount + 1 >= this.totalThreadCount) return false;
    this.freeNormalThreadCount--;
    this.resSysThreadCount++;
    return true;
  }

  release(): void {
    if (this.resSysThreadCount <= 0) return;
    this.resSysThreadCount--;
    this.freeNormalThreadCount++;
    this.completeOne();
  }

  state(): QueueState {
    return {
      discipline: this.discipline,
      lists: { normal_waiters: this.normalWaiters.state(), sys_waiters: this.sysWaiters.state() },
      counters: {
        free_normal_thread_count: this.freeNormalThreadCount,
        res_sys_thread_count: this.resSysThreadCount,
      },
    };
  }
}
