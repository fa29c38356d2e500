import { type Clock, sleep } from '../../clock/clock.js';
import type { Schedule } from '../../clock/schedule.js';
import type { Trace } from '../../trace/trace.js';
import type { CallQueue, CallWaiter, QueueStep } from './call-queue.js';

/**
 * How long a caller waits before it tries again, when no call is in flight whose return could wake it. Milliseconds.
 */
const retryPauseMs = 10;

/**
 * Follow the queue's steps until the caller may make its SMC.
 * @param step the queue's last answer.
 */
export async function waitTurn(
  queue: CallQueue,
  waiter: CallWaiter,
  step: QueueStep,
  clock: Clock,
  schedule: Schedule,
  trace: Trace,
): Promise<void> {
  const actor = `call ${waiter.label}`;
  for (;;) {
    switch (step) {
      case 'call':
        return;
      case 'sleep':
        if (!waiter.completed) {
          if (trace.on) trace.queueSleep(waiter.label, waiter.phase === 'asleep-thread-limit');
          await new Promise<void>((resolve) => {
            waiter.wake = (by) => {
              if (trace.on) trace.queueWake(waiter.label, by?.label ?? 0, true);
              resolve();
            };
          });
        }
        waiter.wake = undefined;
        if (schedule.decides) await schedule.point(actor, 'wake');
        step = queue.resume(waiter);
        break;
      case 'continue':
        // The kernel releases the mutex here, so another caller may lock it first.
        await (schedule.decides ? schedule.point(actor, waiter.phase) : undefined);
        step = queue.resume(waiter);
        break;
      case 'pause':
        if (trace.on) trace.queueSleep(waiter.label, true);
        await sleep(clock, retryPauseMs);
        if (trace.on) trace.queueWake(waiter.label, 0, true);
        return;
      default:
        step satisfies never;
    }
  }
}
