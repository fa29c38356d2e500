import type { CallQueue, CallWaiter, QueueState, QueueStep } from '../../../optee/call-queue/call-queue.js';
import { COUNTER_COUNT, type StorableCallQueue } from '../../../optee/call-queue/storable.js';

/** A call queue whose complete state is visible, including callers inside secure world. */
export class WatchedQueue implements CallQueue {
  /** Called for a caller that is about to enter; and after each section that may have given a thread to a caller. */
  onEnter: ((label: number, relief: boolean) => void) | undefined;
  onSection: (() => void) | undefined;
  /** Callers between `enter` and `leave`, by label. */
  private readonly waiters = new Map<number, CallWaiter>();
  private readonly counters = new Int32Array(COUNTER_COUNT);

  constructor(readonly queue: StorableCallQueue) {}

  /** Callers between `enter` and `leave`, in order of entry. */
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
   * The complete state: if it is equal in two queues of one discipline, both behave in the same way from now on.
   * @param nameOf the name to use for a caller in place of its label.
   */
  contents(nameOf: (label: number) => string): readonly unknown[] {
    const { queue } = this;
    this.counters.fill(0);
    queue.saveCounters(this.counters);
    return [
      [...this.counters],
      queue.waiterLists.map((list) => Array.from(list, ({ label }) => nameOf(label))),
      Array.from(this.waiters.values(), ({ label, system, relief, completed, phase, exitsSeen }) =>
        // Only this matters of the number of exits: whether it changed since the caller last read it.
        [nameOf(label), system, relief, completed, phase, exitsSeen !== queue.exits].join(),
      ).sort(),
    ];
  }

  private told(step: QueueStep): QueueStep {
    this.onSection?.();
    return step;
  }
}
