import { requireFunction } from '../known-options.js';
import { show } from '../show.js';
import { checkSupplicantSettings, type SupplicantSettings, supplicantOn } from '../start-supplicant.js';
import { HandleNumbers } from '../supplicant/handle-table.js';
import type { Supplicant } from '../supplicant/supplicant.js';
import { LinuxSupplicantDevice } from './supplicant-device.js';

export interface LinuxSupplicantOptions extends SupplicantSettings {
  /** `/dev/teepriv0` when left out. */
  readonly device?: string;
  /** Called with a message when a request could not be served. */
  readonly onTrouble?: (trouble: string) => void;
}

/**
 * Serve as the supplicant of a TEE behind Linux's own driver, like tee-supplicant. Disposing detaches it; the kernel
 * notices it at the latest when this process ends.
 * @throws TeecError BUSY if another supplicant is attached; the kernel's error with advice otherwise.
 */
export function openLinuxSupplicant(options: LinuxSupplicantOptions = {}): Supplicant {
  const { device: path = '/dev/teepriv0', onTrouble = () => undefined, ...settings } = options;
  checkSupplicantSettings(settings);
  if (typeof path !== 'string' || path === '')
    throw new TypeError(`openLinuxSupplicant: device must be the path of a device, not ${show(path)}`);
  requireFunction('openLinuxSupplicant', 'onTrouble', onTrouble);
  const device = new LinuxSupplicantDevice(path, onTrouble);
  return supplicantOn(
    { queue: device, allocate: (size) => device.allocate(size), owner: device, numbers: new HandleNumbers() },
    settings,
  );
}
