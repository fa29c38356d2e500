import { OpteeMsgCmd } from '../protocol/optee-msg.js';
import { asyncNotifDoBottomHalf } from '../protocol/optee-smc.js';
import type { InterruptSource } from '../protocol/secure-world.js';
import { show } from '../show.js';
import type { CallPurpose } from '../trace/trace.js';
import type { Optee } from './optee.js';

/** Access to secure world's pending notifications, by ABI. */
export interface NotificationSource {
  /** Enable notifications. Resolves with false if secure world has none. */
  enable(): Promise<boolean>;
  /** Fetch all pending values and clear them. */
  take(): Promise<readonly number[]>;
}

/**
 * Asynchronous notifications. Secure world raises an interrupt; the driver fetches the pending values and sends each to
 * its waiter. One value requests bottom half processing, which is a yielding call. Source:
 * OPTEE_SMC_GET_ASYNC_NOTIF_VALUE in optee_smc.h; OPTEE_MSG_CMD_DO_BOTTOM_HALF and OPTEE_MSG_CMD_STOP_ASYNC_NOTIF in
 * optee_msg.h.
 */
export class AsyncNotifications {
  private silence: (() => void) | undefined;
  /** Fetches pending values, and once more if further interrupts arrive meanwhile. */
  private readonly fetching = new Repeated(() => this.fetch());
  /** Runs one bottom half at a time. Requests that arrive meanwhile cause one more. */
  private readonly bottomHalf = new Repeated(() => this.runBottomHalf());

  /** @param call makes a yielding call without parameters. */
  constructor(
    private readonly optee: Optee,
    private readonly source: NotificationSource,
    private readonly call: (purpose: CallPurpose, command: number) => Promise<void>,
  ) {}

  /** Handle the interrupt from now on, if secure world has notifications. */
  async start(interrupt: InterruptSource): Promise<void> {
    // Listen before notifications are enabled, because the first may arrive at once.
    this.silence = interrupt.listen(() => this.fetching.request());
    if (await this.source.enable()) return;
    this.silence();
    this.silence = undefined;
  }

  /** Stop secure world's notifications, and wait until pending work has finished. */
  async stop(): Promise<void> {
    if (this.silence === undefined) return;
    try {
      // A dead secure world sends none.
      if (!this.optee.ended) await this.call('stop-notifications', OpteeMsgCmd.stopAsyncNotif);
    } catch (error) {
      // It may have died during this call.
      if (!this.optee.ended) throw error;
    } finally {
      this.silence();
      this.silence = undefined;
    }
    await this.fetching.done;
    await this.bottomHalf.done;
  }

  private async fetch(): Promise<void> {
    const { schedule, trace } = this.optee;
    let values: readonly number[];
    try {
      values = await this.source.take();
      // The interrupt may arrive again before the fetching is known to be complete.
      if (schedule.fine) await schedule.point('notifications', 'end fetching');
    } catch (error) {
      this.optee.violation(0, `no notifications could be fetched: ${show(error)}`);
      return;
    }
    for (const value of values) {
      if (trace.on) trace.emit({ type: 'notification', value });
      if (value === asyncNotifDoBottomHalf) this.bottomHalf.request();
      else if (this.optee.notifications.send(value) !== 'notified')
        this.optee.violation(0, `secure world notifies value ${value}, which is out of range`);
    }
  }

  private async runBottomHalf(): Promise<void> {
    try {
      await this.call('bottom-half', OpteeMsgCmd.doBottomHalf);
    } catch (error) {
      this.optee.violation(0, `bottom half processing failed: ${show(error)}`);
    }
  }
}

/**
 * Work that runs once more if it is requested while it runs, like a work item in Linux. The check for a request and the
 * transition to idle are one step, so that no request is lost between them.
 */
class Repeated {
  /** Resolves when the work is idle. */
  done: Promise<void> = Promise.resolve();
  private wanted = false;
  private busy = false;

  /** @param work must not reject. */
  constructor(private readonly work: () => Promise<void>) {}

  request(): void {
    this.wanted = true;
    if (!this.busy) this.done = this.run();
  }

  private async run(): Promise<void> {
    this.busy = true;
    while (this.wanted) {
      this.wanted = false;
      await this.work();
    }
    this.busy = false;
  }
}
