import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DevicesOfDriver } from '../client/driver-of-tee.js';
import { startInterval } from '../clock/timer.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';

/** Interval of polling the bus, in milliseconds: sysfs has no notification of changes. */
const lookEveryMs = 250;
/** Name of a device on the bus (drivers/tee/optee/device.c). */
const nameOfDevice = /^optee-ta-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The devices on Linux's TEE bus. @param sysfs mount point of sysfs. */
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
    // Secure world enumerates all devices; the bus shows which of them were registered.
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
            // The device was removed together with its driver.
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
