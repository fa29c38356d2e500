import { CallQueueAssertion } from './assertion.js';
import type { CallWaiter, QueueState } from './call-queue.js';
import { LinuxCallQueue } from './linux-call-queue.js';
import type { Violation } from './storable.js';
import { WaiterList } from './waiter-list.js';

/**
 * Linux since 6.8 ("tee: optee: support tracking system threads"): one list, in which system waiters are completed
 * first. Every call claims a thread, and normal calls leave one thread free while a system session exists.
 */
export class Linux68CallQueue extends LinuxCallQueue {
  readonly discipline = 'linux-6.8';
  private readonly waiters = new WaiterList();
  readonly waiterLists = [this.waiters];
  readonly counterCount = 2;
  private freeThreadCount: number;
  /** Number of system sessions. All of them share the one thread that normal calls leave free. */
  private sysThreadReqCount = 0;

  constructor(totalThreadCount: number) {
    super(totalThreadCount);
    this.freeThreadCount = totalThreadCount;
  }

  listIndex(): number {
    return 0;
  }

  protected mayClaim(waiter: CallWaiter): boolean {
    if (this.totalThreadCount === 0) return true;
    const threshold = waiter.system || this.sysThreadReqCount === 0 ? 0 : 1;
    return this.freeThreadCount > threshold;
  }

  protected claim(): void {
    if (this.totalThreadCount !== 0) this.freeThreadCount--;
  }

  protected unclaim(): void {
    // Also done if threads are not tracked; the count then only grows and has no effect.
    this.freeThreadCount++;
  }

  protected completeOne(by?: CallWaiter): void {
    if (!this.completeFirst(this.waiters, by, true)) this.completeFirst(this.waiters, by);
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

  reservedThreads(): number {
    return this.sysThreadReqCount > 0 ? 1 : 0;
  }

  reservationCount(): number {
    return this.sysThreadReqCount;
  }

  saveCounters(into: Int32Array): void {
    into[0] = this.totalThreadCount === 0 ? 0 : this.freeThreadCount;
    into[1] = this.sysThreadReqCount;
  }

  loadCounters(from: Int32Array): void {
    this.freeThreadCount = from[0] ?? 0;
    this.sysThreadReqCount = from[1] ?? 0;
  }

  violation(normalClaims: number, systemClaims: number): Violation | undefined {
    const { totalThreadCount: total, freeThreadCount: free } = this;
    if (total === 0) return undefined;
    if (normalClaims + systemClaims + free !== total) return 'conservation';
    return free < 0 || free > total || this.sysThreadReqCount < 0 ? 'range' : undefined;
  }

  state(): QueueState {
    return {
      discipline: this.discipline,
      lists: { waiters: this.waiters.state() },
      counters: { free_thread_count: this.freeThreadCount, sys_thread_req_count: this.sysThreadReqCount },
    };
  }
}
