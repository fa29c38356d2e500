import type { Clock } from '../clock/clock.js';

/**
 * OPTEE_DEFAULT_MAX_NOTIF_VALUE of Linux's driver: the largest value if secure world has no asynchronous notifications.
 */
export const defaultMaxNotificationValue = 255;

export type NotificationResult =
  | 'notified'
  | 'timed-out'
  /** The value is larger than the announced maximum. */
  | 'out-of-range'
  /** Another call already waits for this value. */
  | 'busy'
  /** Secure world is dead, so the value will never be sent. */
  | 'ended';

/**
 * Notifications, with which a thread of secure world waits in the normal world for another: Linux's `struct
 * optee_notif`. A value that is sent before a call waits for it is kept; several are kept as one.
 */
export class Notifications {
  /** By value: the function that wakes its waiter. */
  private readonly waiters = new Map<number, (result: 'notified' | 'ended') => void>();
  private readonly posted = new Set<number>();
  private over = false;

  /** @param maxValue the largest notification value, 0..2^32-1. */
  constructor(
    private readonly maxValue: number,
    private readonly clock: Clock,
  ) {}

  /** Values for which a call waits. */
  get waitingFor(): readonly number[] {
    return [...this.waiters.keys()];
  }

  /** Wait for a value. @param timeoutMs milliseconds; 0 waits without a limit. */
  wait(value: number, timeoutMs: number): NotificationResult | Promise<NotificationResult> {
    if (!(value >= 0 && value <= this.maxValue)) return 'out-of-range';
    if (this.posted.delete(value)) return 'notified';
    if (this.waiters.has(value)) return 'busy';
    if (this.over) return 'ended';
    return new Promise((resolve) => {
      const cancelTimer =
        timeoutMs === 0
          ? undefined
          : this.clock.setTimer(timeoutMs, () => {
              this.waiters.delete(value);
              resolve('timed-out');
            });
      this.waiters.set(value, (result) => {
        cancelTimer?.();
        this.waiters.delete(value);
        resolve(result);
      });
    });
  }

  send(value: number): NotificationResult {
    if (!(value >= 0 && value <= this.maxValue)) return 'out-of-range';
    const wake = this.waiters.get(value);
    if (wake === undefined) this.posted.add(value);
    else wake('notified');
    return 'notified';
  }

  /** Secure world is dead: wake all waiters. */
  end(): void {
    this.over = true;
    for (const wake of [...this.waiters.values()]) wake('ended');
  }
}
