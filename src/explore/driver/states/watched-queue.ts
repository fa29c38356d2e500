import type { CallQueue, CallWaiter, QueueState, QueueStep } from '../../../optee/call-queue/call-queue.js';
import { COUNTER_COUNT, type StorableCallQueue } from '../../../optee/call-queue/storable.js';

/** A call queue of which everything can be seen that decides what it will do, callers inside secure world included. */
export class WatchedQueue implements CallQueue {
  /** Told of a caller that is about to enter, and of each section that may have given a thread to somebody. */
  onEnter: ((label: number, relief: boolean) => void) | undefined;
  onSection: (() => void) | undefined;
  /** Between `enter` and `leave`, by label. */
  private readonly waiters = new Map<number, CallWaiter>();
  private readonly counters = new Int32Array(COUNTER_COUNT);

  constructor(readonly queue: StorableCallQueue) {}

  /** Callers between `enter` and `leave`, in the order in which they entered. */
  get callers(): Iterable<CallWaiter> {
    return this.waiters.values();
  }

  get discipline() {
    return this.queue.discipline;
  }

  get thinksOnThreadLimit() {
    return this.queue.thinksOnThreadLimit;
  }

  get sortsOwnCalls() {
    return this.queue.sortsOwnCalls;
  }

  get onUnusedWakeUp() {
    return this.queue.onUnusedWakeUp;
  }

  set onUnusedWakeUp(told: CallQueue['onUnusedWakeUp']) {
    this.queue.onUnusedWakeUp = told;
  }

  enter(waiter: CallWaiter, system: boolean, relief = false): QueueStep {
    this.onEnter?.(waiter.label, relief);
    this.waiters.set(waiter.label, waiter);
    return this.told(this.queue.enter(waiter, system, relief));
  }

  resume(waiter: CallWaiter): QueueStep {
    return this.told(this.queue.resume(waiter));
  }

  threadLimit(waiter: CallWaiter): QueueStep {
    return this.told(this.queue.threadLimit(waiter));
  }

  leave(waiter: CallWaiter): void {
    this.queue.leave(waiter);
    this.waiters.delete(waiter.label);
    this.onSection?.();
  }

  reserve(): boolean {
    return this.queue.reserve();
  }

  release(): void {
    this.queue.release();
    this.onSection?.();
  }

  state(): QueueState {
    return this.queue.state();
  }

  /**
   * The whole state: the same text in two queues of one discipline means that they do the same from here on, whatever
   * happened before.
   * @param nameOf what to call a caller, instead of its label.
   */
  contents(nameOf: (label: number) => string): readonly unknown[] {
    const { queue } = this;
    this.counters.fill(0);
    queue.saveCounters(this.counters);
    return [
      [...this.counters],
      queue.waiterLists.map((list) => Array.from(list, ({ label }) => nameOf(label))),
      Array.from(this.waiters.values(), ({ label, system, relief, completed, phase, exitsSeen }) =>
        // Of the exits only this counts: whether there was one since the caller looked.
        [nameOf(label), system, relief, completed, phase, exitsSeen !== queue.exits].join(),
      ).sort(),
    ];
  }

  private told(step: QueueStep): QueueStep {
    this.onSection?.();
    return step;
  }
}
