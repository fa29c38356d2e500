import type { CallWaiter, WaiterPhase } from './call-queue.js';

/**
 * The queue was used against its rules, or its counters are inconsistent: a programming error, which callers do not
 * handle.
 */
export class CallQueueAssertion extends Error {
  override readonly name = 'CallQueueAssertion';
}

export function expectPhase(waiter: CallWaiter, phase: WaiterPhase, section: string): void {
  if (waiter.phase !== phase) {
    throw new CallQueueAssertion(`${section}: caller ${waiter.label} is ${waiter.phase}, expected ${phase}`);
  }
}
