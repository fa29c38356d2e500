import { type Conduit, smcRegisters } from '../../protocol/conduit.js';
import {
  asyncNotifPending,
  asyncNotifValid,
  OpteeSmc,
  OpteeSmcReturn,
  smcReturnInWords,
} from '../../protocol/optee-smc.js';
import type { NotificationSource } from '../async-notification.js';
import type { Optee } from '../optee.js';

/** Notifications over raw SMCs: OPTEE_SMC_ENABLE_ASYNC_NOTIF and OPTEE_SMC_GET_ASYNC_NOTIF_VALUE. */
export class SmcNotificationSource implements NotificationSource {
  /** @param maxValue the largest value that secure world announced. */
  constructor(
    private readonly optee: Optee,
    private readonly conduit: Conduit,
    private readonly maxValue: number,
  ) {}

  async enable(): Promise<boolean> {
    const { a0 } = await this.conduit.smc(smcRegisters(OpteeSmc.enableAsyncNotif));
    return a0 === OpteeSmcReturn.ok;
  }

  async take(): Promise<readonly number[]> {
    const values: number[] = [];
    // Each value can be pending once. Without this limit a faulty world could keep the loop running.
    while (values.length <= this.maxValue) {
      const { a0, a1, a2 } = await this.conduit.smc(smcRegisters(OpteeSmc.getAsyncNotifValue));
      if (a0 !== OpteeSmcReturn.ok) {
        this.optee.violation(0, `GET_ASYNC_NOTIF_VALUE answers ${smcReturnInWords(a0)}`);
        return values;
      }
      if ((a2 & asyncNotifValid) !== 0) values.push(a1);
      if ((a2 & asyncNotifValid) === 0 || (a2 & asyncNotifPending) === 0) return values;
    }
    this.optee.violation(0, `secure world has more notifications pending than its largest value, ${this.maxValue}`);
    return values;
  }
}
