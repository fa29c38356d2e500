import { OpteeMsgCmd } from '../protocol/optee-msg.js';
import { asyncNotifDoBottomHalf } from '../protocol/optee-smc.js';
import type { InterruptSource } from '../protocol/secure-world.js';
import type { CallPurpose } from '../trace/trace.js';
import type { Optee } from './optee.js';

/** How an ABI gets at the notifications that secure world has pending. */
export interface NotificationSource {
  /** Tell secure world that we take notifications. False: it has none. */
  enable(): Promise<boolean>;
  /** All values that are pending, which then are no more. */
  take(): Promise<readonly number[]>;
}

/**
 * Asynchronous notifications: secure world raises an interrupt, the values that it has pending are fetched and sent to
 * whoever waits for them; one value asks for bottom half processing, a yielding call. Source: optee_smc.h,
 * OPTEE_SMC_GET_ASYNC_NOTIF_VALUE; optee_msg.h, OPTEE_MSG_CMD_DO_BOTTOM_HALF and OPTEE_MSG_CMD_STOP_ASYNC_NOTIF.
 */
export class AsyncNotifications {
  private silence: (() => void) | undefined;
  /** Fetches what is pending, once more for any interrupts that come meanwhile. */
  private readonly fetching = new Repeated(() => this.fetch());
  /** One at a time; any number of requests while one runs are one more. */
  private readonly bottomHalf = new Repeated(() => this.runBottomHalf());

  /** @param call makes a yielding call without parameters. */
  constructor(
    private readonly optee: Optee,
    private readonly source: NotificationSource,
    private readonly call: (purpose: CallPurpose, command: number) => Promise<void>,
  ) {}

  /** Take the interrupt from now on, if secure world has notifications. */
  async start(interrupt: InterruptSource): Promise<void> {
    // Before they are enabled: the first may come at once.
    this.silence = interrupt.listen(() => this.fetching.request());
    if (await this.source.enable()) return;
    this.silence();
    this.silence = undefined;
  }

  /** Secure world stops, and what it has begun is finished. */
  async stop(): Promise<void> {
    if (this.silence === undefined) return;
    try {
      await this.call('stop-notifications', OpteeMsgCmd.stopAsyncNotif);
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
      // The interrupt may come again before it is known that there is nothing more.
      if (schedule.fine) await schedule.point('notifications', 'end fetching');
    } catch (error) {
      this.optee.violation(0, `no notifications could be fetched: ${String(error)}`);
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
      this.optee.violation(0, `bottom half processing failed: ${String(error)}`);
    }
  }
}

/**
 * Work that is done once more when it is requested while it is done, however often: a Linux work item. That there is no
 * request and that it is idle are one step: a request between the two would be lost.
 */
class Repeated {
  /** Resolves when it is idle. */
  done: Promise<void> = Promise.resolve();
  private wanted = false;
  private busy = false;

  /** @param work does not reject. */
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
