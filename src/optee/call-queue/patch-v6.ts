import type { CallWaiter, QueueState } from './call-queue.js';
import { LinuxCallQueue } from './linux-call-queue.js';
import type { Violation } from './storable.js';
import { WaiterList } from './waiter-list.js';

/**
 * The sixth revision of "tee: optee: support tracking system threads" (linux-kernel, 5 May 2023), as posted. It has two
 * lists. A normal call claims one of the threads that are not reserved; a system call claims nothing. Each system
 * session reserves one thread, as long as one remains for normal calls.
 */
export class PatchV6CallQueue extends LinuxCallQueue {
  readonly discipline = 'patch-v6';
  private readonly normalWaiters = new WaiterList();
  private readonly sysWaiters = new WaiterList();
  readonly waiterLists = [this.normalWaiters, this.sysWaiters];
  readonly counterCount = 2;
  /** May become negative: `reserve` decrements it even if a normal call holds the thread. */
  private freeNormalThreadCount: number;
  private resSysThreadCount = 0;

  constructor(totalThreadCount: number) {
    super(totalThreadCount);
    this.freeNormalThreadCount = totalThreadCount;
  }

  listIndex(waiter: CallWaiter): number {
    return waiter.system ? 1 : 0;
  }

  protected mayClaim(waiter: CallWaiter): boolean {
    return waiter.system || this.totalThreadCount === 0 || this.freeNormalThreadCount > 0;
  }

  protected claim(waiter: CallWaiter): void {
    if (!waiter.system && this.totalThreadCount !== 0) this.freeNormalThreadCount--;
  }

  protected unclaim(waiter: CallWaiter): void {
    // Also done if threads are not tracked; the count then only grows and has no effect.
    if (!waiter.system) this.freeNormalThreadCount++;
  }

  protected completeOne(by?: CallWaiter): void {
    if (this.completeFirst(this.sysWaiters, by)) return;
    if (this.totalThreadCount === 0 || this.freeNormalThreadCount > 0) this.completeFirst(this.normalWaiters, by);
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

  reservedThreads(): number {
    return this.resSysThreadCount;
  }

  reservationCount(): number {
    return this.resSysThreadCount;
  }

  saveCounters(into: Int32Array): void {
    into[0] = this.totalThreadCount === 0 ? 0 : this.freeNormalThreadCount;
    into[1] = this.resSysThreadCount;
  }

  loadCounters(from: Int32Array): void {
    this.freeNormalThreadCount = from[0] ?? 0;
    this.resSysThreadCount = from[1] ?? 0;
  }

  violation(normalClaims: number): Violation | undefined {
    const { totalThreadCount: total, freeNormalThreadCount: free, resSysThreadCount: reserved } = this;
    if (total === 0) return undefined;
    if (normalClaims + free + reserved !== total) return 'conservation';
    return free < 0 || free > total || reserved < 0 || reserved >= total ? 'range' : undefined;
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
