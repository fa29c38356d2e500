import type { InterruptSource } from '../../../protocol/secure-world.js';

/** NOTIF_VALUE_MAX of asynchronous values: those above are threads' own (NOTIF_SYNC_VALUE_BASE). */
export const asyncNotifMax = 63;

/**
 * What secure world's drivers do with asynchronous notifications: `struct notif_driver`. The bottom half runs in a thread
 * context, for which the normal world made a call.
 */
export interface NotificationDriver {
  /** The normal world asked for no more notifications from now on. */
  stopped?(): void | Promise<void>;
  /** NOTIF_EVENT_DO_BOTTOM_HALF: what the interrupt handler could not do itself. */
  bottomHalf?(thread: BottomHalf): void | Promise<void>;
}

/** What a bottom half can do because it has a thread. One thing at a time. */
export interface BottomHalf {
  /** Be busy in secure world for that long. */
  compute(ms: number): Promise<void>;
  /** notif_send_sync(): wake who waits for this value, by an RPC. */
  notify(value: number): Promise<void>;
}

/** Values that are pending for the normal world, and the interrupt that says so: core/kernel/notif.c, notif_default.c. */
export class AsyncNotif implements InterruptSource {
  /** The normal world takes notifications. */
  started = false;
  private readonly pending = new Set<number>();
  private readonly handlers = new Set<() => void>();

  listen(handler: () => void): () => void {
    this.handlers.add(handler);
    return () => this.handlers.delete(handler);
  }

  /**
   * notif_send_async(): a value becomes pending, the interrupt is raised.
   * @returns false when the normal world takes none.
   * @throws RangeError for a value that is none.
   */
  send(value: number): boolean {
    if (!(Number.isInteger(value) && value >= 0 && value <= asyncNotifMax))
      throw new RangeError(`notification value ${value}; allowed: 0 to ${asyncNotifMax}`);
    if (!this.started) return false;
    this.pending.add(value);
    // The interrupt is taken after the step that raised it.
    for (const handler of this.handlers) void Promise.resolve().then(handler);
    return true;
  }

  /** notif_get_value(): the smallest that is pending, and whether there are more. */
  take(): { readonly value: number; readonly more: boolean } | undefined {
    if (this.pending.size === 0) return undefined;
    const value = Math.min(...this.pending);
    this.pending.delete(value);
    return { value, more: this.pending.size > 0 };
  }
}
