import type { CallWaiter, WaiterPhase } from './call-queue.js';

/** The caller used the queue against its rules, or the queue lost count: a programming error, not a condition to handle. */
export class CallQueueAssertion extends Error {
  override readonly name = 'CallQueueAssertion';
}

export function expectPhase(waiter: CallWaiter, phase: WaiterPhase, section: string): void {
  if (waiter.phase !== phase) {
    throw new CallQueueAssertion(`${section}: caller ${waiter.label} is ${waiter.phase}, expected ${phase}`);
  }
}
