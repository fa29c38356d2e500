import { requireFunction } from '../known-options.js';
import { show } from '../show.js';
import { checkSupplicantSettings, type SupplicantSettings, supplicantOn } from '../start-supplicant.js';
import { HandleNumbers } from '../supplicant/handle-table.js';
import type { Supplicant } from '../supplicant/supplicant.js';
import { LinuxSupplicantDevice } from './supplicant-device.js';

export interface LinuxSupplicantOptions extends SupplicantSettings {
  /** `/dev/teepriv0` when left out. */
  readonly device?: string;
  /** What could not be done for a request, for people. */
  readonly onTrouble?: (trouble: string) => void;
}

/**
 * Be the supplicant of a TEE that is behind Linux's own driver: what tee-supplicant is. Disposing of it is its leaving; the
 * kernel knows of it when this process ends at the latest.
 * @throws TeecError BUSY when another has the place; what the kernel refuses, with what to do.
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
