/**
 * The pseudo-TA that lists the TAs for which the normal world has drivers, as devices on its TEE bus.
 * Source: lib/libutee/include/pta_device.h of OP-TEE/optee_os.
 */
import type { Uuid } from './uuid.js';

export const devicePtaUuid: Uuid = '7011a688-ddde-4053-a5a9-7b3c4ddf13b8';

/** PTA_CMD_GET_DEVICES*: memref[0] out, the UUIDs of devices, 16 octets each. SHORT_BUFFER returns the size needed. */
export const DevicePtaCommand = {
  /** Devices that need no service of the normal world. */
  getDevices: 0,
  /** Devices that need a supplicant. */
  getDevicesSupp: 1,
  /** Devices that need the RPMB. */
  getDevicesRpmb: 2,
} as const;

/** Octets of a UUID in the list. */
export const deviceSize = 16;
