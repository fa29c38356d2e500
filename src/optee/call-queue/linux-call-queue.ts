import { CallQueueAssertion, expectPhase } from './assertion.js';
import type { CallWaiter, DisciplineName, QueueState, QueueStep } from './call-queue.js';
import type { StorableCallQueue, Violation } from './storable.js';
import type { WaiterList } from './waiter-list.js';

/**
 * The common part of the three Linux variants. A caller is on its list from before its first SMC until it has returned.
 * So the list contains both sleepers and callers inside secure world, and the search for a sleeper to wake only checks
 * whether a completion is outstanding. Sources: `optee_cq_wait_init`, `optee_cq_wait_for_completion`,
 * `optee_cq_complete_one` and `optee_cq_wait_final` in Linux's drivers/tee/optee/call.c.
 *
 * A variant defines the list of a waiter, which callers may claim a thread, and which waiter gets a completion.
 */
export abstract class LinuxCallQueue implements StorableCallQueue {
  abstract readonly discipline: DisciplineName;
  onUnusedWakeUp: ((waiter: CallWaiter, by: CallWaiter | undefined) => void) | undefined;
  abstract readonly waiterLists: readonly WaiterList[];
  readonly thinksOnThreadLimit: boolean = false;
  readonly countsExits = false;
  readonly sortsOwnCalls = false;
  readonly exits = 0;

  /** @param totalThreadCount the argument of `optee_cq_init()`; 0: threads are not tracked. */
  constructor(readonly totalThreadCount: number) {}

  /** Whether this caller may have a thread now. True for callers that need no claim. */
  protected abstract mayClaim(waiter: CallWaiter): boolean;
  /** Count a thread for this caller. */
  protected abstract claim(waiter: CallWaiter): void;
  /** Undo `claim`. */
  protected abstract unclaim(waiter: CallWaiter): void;
  /** Complete one waiter whose completion is outstanding, if there is one. */
  protected abstract completeOne(by?: CallWaiter): void;
  abstract readonly counterCount: number;
  abstract listIndex(waiter: CallWaiter): number;
  abstract saveCounters(into: Int32Array): void;
  abstract loadCounters(from: Int32Array): void;
  abstract reservedThreads(): number;
  abstract reservationCount(): number;
  abstract violation(normalClaims: number, systemClaims: number): Violation | undefined;
  abstract reserve(): boolean;
  abstract release(): void;
  abstract state(): QueueState;

  enter(waiter: CallWaiter, system: boolean): QueueStep {
    expectPhase(waiter, 'outside', 'enter');
    waiter.completed = false;
    waiter.system = system;
    this.listOf(waiter).pushTail(waiter);
    return this.tryToClaim(waiter);
  }

  threadLimit(waiter: CallWaiter): QueueStep {
    expectPhase(waiter, 'entered', 'threadLimit');
    // A completion that arrived while the caller was inside is kept, and ends this sleep at once.
    waiter.phase = 'asleep-thread-limit';
    return 'sleep';
  }

  resume(waiter: CallWaiter): QueueStep {
    switch (waiter.phase) {
      case 'asleep-claim':
      case 'asleep-thread-limit':
        // wait_for_completion() returns: the completion is consumed, but the mutex is not locked yet.
        if (!waiter.completed) throw new CallQueueAssertion(`resume: caller ${waiter.label} has not been completed`);
        waiter.completed = false;
        waiter.phase = waiter.phase === 'asleep-claim' ? 'requeue-claim' : 'requeue-thread-limit';
        return 'continue';
      case 'requeue-claim':
        this.moveToTail(waiter);
        waiter.phase = 'recheck';
        return 'continue';
      case 'requeue-thread-limit':
        this.moveToTail(waiter);
        waiter.phase = 'entered';
        return 'call';
      case 'recheck':
        return this.tryToClaim(waiter);
      case 'entered':
      case 'outside':
        throw new CallQueueAssertion(`resume: caller ${waiter.label} is ${waiter.phase}`);
    }
  }

  leave(waiter: CallWaiter): void {
    if (this.beginLeave(waiter)) this.endLeave(waiter);
  }

  beginLeave(waiter: CallWaiter): boolean {
    expectPhase(waiter, 'entered', 'leave');
    this.listOf(waiter).remove(waiter);
    this.unclaim(waiter);
    this.completeOne(waiter);
    if (!waiter.completed) waiter.phase = 'outside';
    return waiter.completed;
  }

  endLeave(waiter: CallWaiter): void {
    // A completion that arrived while this caller was inside was meant for a sleeper: pass it on.
    this.completeOne(waiter);
    waiter.completed = false;
    waiter.phase = 'outside';
  }

  holdsClaim({ phase }: CallWaiter): boolean {
    // A caller that was refused with ETHREAD_LIMIT keeps its claim while it sleeps.
    return phase === 'entered' || phase === 'asleep-thread-limit' || phase === 'requeue-thread-limit';
  }

  threadsForRelief(): number {
    return 0;
  }

  threadsCounted(): number {
    return this.totalThreadCount;
  }

  allows(waiter: CallWaiter): boolean {
    return this.holdsClaim(waiter) || this.mayClaim(waiter);
  }

  protected complete(waiter: CallWaiter, by: CallWaiter | undefined): void {
    waiter.completed = true;
    if (waiter.wake === undefined) this.onUnusedWakeUp?.(waiter, by);
    else waiter.wake(by);
  }

  /** Complete the first waiter of a list whose completion is outstanding. @param by the caller that left. */
  protected completeFirst(list: WaiterList, by: CallWaiter | undefined, systemOnly = false): boolean {
    for (let waiter = list.head; waiter !== undefined; waiter = waiter.next) {
      if (!waiter.completed && (waiter.system || !systemOnly)) {
        this.complete(waiter, by);
        return true;
      }
    }
    return false;
  }

  private tryToClaim(waiter: CallWaiter): QueueStep {
    if (!this.mayClaim(waiter)) {
      waiter.phase = 'asleep-claim';
      return 'sleep';
    }
    this.claim(waiter);
    waiter.phase = 'entered';
    return 'call';
  }

  private listOf(waiter: CallWaiter): WaiterList {
    const list = this.waiterLists[this.listIndex(waiter)];
    if (list === undefined) throw new CallQueueAssertion(`no list for caller ${waiter.label}`);
    return list;
  }

  /**
   * `list_del`, `reinit_completion`, `list_add_tail`: a completion that arrived since the last one was consumed is
   * lost.
   */
  private moveToTail(waiter: CallWaiter): void {
    const list = this.listOf(waiter);
    list.remove(waiter);
    waiter.completed = false;
    list.pushTail(waiter);
  }
}
