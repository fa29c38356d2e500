import type { Clock } from '../clock/clock.js';

/** OPTEE_DEFAULT_MAX_NOTIF_VALUE of Linux's driver: the range when secure world has no asynchronous notifications. */
export const defaultMaxNotificationValue = 255;

export type NotificationResult =
  | 'notified'
  | 'timed-out'
  /** The value is larger than secure world announced. */
  | 'out-of-range'
  /** Somebody already waits for this value. */
  | 'busy'
  /** Secure world is dead: nobody will ever send it. */
  | 'ended';

/**
 * Notifications, by which a thread of secure world waits for another while it is out in the normal world: Linux's
 * `struct optee_notif`. A value that is sent before anybody waits for it is kept, once.
 */
export class Notifications {
  /** Who waits for a value: called to wake it. */
  private readonly waiters = new Map<number, (result: 'notified' | 'ended') => void>();
  private readonly posted = new Set<number>();
  private over = false;

  /** @param maxValue the largest notification value, 0..2^32-1. */
  constructor(
    private readonly maxValue: number,
    private readonly clock: Clock,
  ) {}

  /** Values that somebody waits for. */
  get waitingFor(): readonly number[] {
    return [...this.waiters.keys()];
  }

  /** @param timeoutMs milliseconds; 0 waits for ever. */
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

  /** Secure world is dead: everybody who waits goes on. */
  end(): void {
    this.over = true;
    for (const wake of [...this.waiters.values()]) wake('ended');
  }
}
