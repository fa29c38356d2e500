import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DevicesOfDriver } from '../client/driver-of-tee.js';
import { startInterval } from '../clock/timer.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';

/** How often the bus is looked at while somebody watches it, in milliseconds: sysfs tells nobody of a change. */
const lookEveryMs = 250;
/** What Linux calls a device there (drivers/tee/optee/device.c). */
const nameOfDevice = /^optee-ta-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The devices on Linux's TEE bus. @param sysfs where it is mounted. */
export function busDevices(sysfs: string): DevicesOfDriver {
  const folder = join(sysfs, 'bus/tee/devices');
  const onBus = () => {
    try {
      return new Set(readdirSync(folder).flatMap((name) => nameOfDevice.exec(name)?.[1] ?? []));
    } catch {
      throw commsError(
        TeeResult.ERROR_NOT_SUPPORTED,
        `watching devices: there is no ${folder}: sysfs does not show the bus`,
      );
    }
  };
  return {
    // Secure world lists all; the bus says which have come.
    there: { supplicant: true, rpmb: true },
    onBus,
    watch(onChange) {
      const known = () => [...onBus()].sort().join();
      let before = known();
      return startInterval(
        lookEveryMs,
        () => {
          let now = before;
          try {
            now = known();
          } catch {
            // The driver was removed; so is the device that is asked.
          }
          if (now === before) return;
          before = now;
          onChange();
        },
        { background: true },
      );
    },
  };
}
