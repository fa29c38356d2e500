import type { InterruptSource } from '../../../protocol/secure-world.js';

/** NOTIF_VALUE_MAX of asynchronous values. Higher values belong to threads (NOTIF_SYNC_VALUE_BASE). */
export const asyncNotifMax = 63;

/**
 * A driver in secure world that uses asynchronous notifications: `struct notif_driver`. The bottom half runs in a
 * thread context, in a call that the normal world made for it.
 */
export interface NotificationDriver {
  /** The normal world has disabled notifications. */
  stopped?(): void | Promise<void>;
  /** NOTIF_EVENT_DO_BOTTOM_HALF: the part of the work that the interrupt handler could not do. */
  bottomHalf?(thread: BottomHalf): void | Promise<void>;
}

/** The operations of a bottom half. One at a time. */
export interface BottomHalf {
  /** Compute in secure world for `ms` milliseconds. */
  compute(ms: number): Promise<void>;
  /** notif_send_sync(): wake the thread that waits for this value, by an RPC. */
  notify(value: number): Promise<void>;
}

/** The pending notification values, and the interrupt that announces them: core/kernel/notif.c, notif_default.c. */
export class AsyncNotif implements InterruptSource {
  /** Whether the normal world has enabled notifications. */
  started = false;
  private readonly pending = new Set<number>();
  private readonly handlers = new Set<() => void>();

  listen(handler: () => void): () => void {
    this.handlers.add(handler);
    return () => this.handlers.delete(handler);
  }

  /**
   * notif_send_async(): make a value pending and raise the interrupt.
   * @returns false if the normal world has not enabled notifications.
   * @throws RangeError if the value is outside 0..63.
   */
  send(value: number): boolean {
    if (!(Number.isInteger(value) && value >= 0 && value <= asyncNotifMax))
      throw new RangeError(`notification value ${value}; allowed: 0 to ${asyncNotifMax}`);
    if (!this.started) return false;
    this.pending.add(value);
    // The interrupt is taken after the current step.
    for (const handler of this.handlers) void Promise.resolve().then(handler);
    return true;
  }

  /** notif_get_value(): the smallest pending value, and whether there are more. */
  take(): { readonly value: number; readonly more: boolean } | undefined {
    if (this.pending.size === 0) return undefined;
    const value = Math.min(...this.pending);
    this.pending.delete(value);
    return { value, more: this.pending.size > 0 };
  }
}
