import { OpteeFfa } from '../../protocol/optee-ffa.js';
import { asyncNotifDoBottomHalf } from '../../protocol/optee-smc.js';
import { TeecError } from '../../tee/teec-error.js';
import type { NotificationSource } from '../async-notification.js';
import type { Optee } from '../optee.js';
import type { FfaLink } from './ffa-link.js';

/** The FF-A notification with which OP-TEE requests bottom half processing. */
const bottomHalfNotification = 0;

/** Notifications over FF-A: OP-TEE has one, which requests bottom half processing. */
export class FfaNotificationSource implements NotificationSource {
  constructor(
    private readonly optee: Optee,
    private readonly link: FfaLink,
  ) {}

  async enable(): Promise<boolean> {
    try {
      await this.link.bindNotification(bottomHalfNotification);
    } catch (error) {
      // The partition manager does not support notifications.
      if (!(error instanceof TeecError)) throw error;
      this.optee.violation(0, error.message);
      return false;
    }
    return (await this.link.direct(OpteeFfa.enableAsyncNotif, bottomHalfNotification)).a3 === 0;
  }

  async take(): Promise<readonly number[]> {
    const values: number[] = [];
    for (const notification of await this.link.takeNotifications()) {
      if (notification === bottomHalfNotification) values.push(asyncNotifDoBottomHalf);
      else this.optee.violation(0, `notification ${notification} arrived, which was not bound`);
    }
    return values;
  }
}
