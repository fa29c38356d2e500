import { DevicePtaCommand, devicePtaUuid, deviceSize } from '../protocol/pta-device.js';
import { TeeResult } from '../protocol/tee-result.js';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import { commsError, TeecError } from '../tee/teec-error.js';
import type { Context, KernelContext } from './context.js';
import { temporary } from './parameters.js';
import type { Session } from './session.js';

/** A trusted application for which the normal world needs a driver: a device on Linux's TEE bus. */
export interface TeeDeviceDescription {
  readonly uuid: Uuid;
  /** What must be available before its driver can work. */
  readonly needs: 'nothing' | 'supplicant' | 'rpmb';
}

/** The maximum size of the list of UUIDs in bytes: 4096 devices. */
const listMax = 4096 * deviceSize;
/**
 * How often the list is requested. Devices can appear between the request for the size and the request for the list.
 */
const attempts = 4;

/** The services that are available to devices that need one. */
export interface DeviceNeeds {
  readonly supplicant: boolean;
  readonly rpmb: boolean;
}

/**
 * Ask OP-TEE for its devices: Linux's device.c.
 * @param there the services that are available; lists of devices that need another service are not requested.
 * @throws TeecError COMMUNICATION if the answer is not a list of UUIDs.
 */
export async function enumerateDevices(
  context: Context | KernelContext,
  there: DeviceNeeds,
): Promise<readonly TeeDeviceDescription[]> {
  let session: Session;
  try {
    session = await context.openSession(devicePtaUuid, { login: { login: 'public' } });
  } catch (error) {
    // OP-TEE was built without this pseudo-TA.
    if (error instanceof TeecError && error.code === TeeResult.ERROR_ITEM_NOT_FOUND) return [];
    throw error;
  }
  try {
    const devices: TeeDeviceDescription[] = [];
    const add = async (command: number, needs: TeeDeviceDescription['needs']) => {
      for (const uuid of await listDevices(session, command))
        if (devices.every((device) => device.uuid !== uuid)) devices.push({ uuid, needs });
    };
    await add(DevicePtaCommand.getDevices, 'nothing');
    if (there.rpmb) await add(DevicePtaCommand.getDevicesRpmb, 'rpmb');
    if (there.supplicant) await add(DevicePtaCommand.getDevicesSupp, 'supplicant');
    return devices;
  } finally {
    await session.close();
  }
}

/**
 * One list of the pseudo-TA that enumerates devices.
 * @param command a `DevicePtaCommand`.
 * @throws TeecError COMMUNICATION if the answer is not a list of UUIDs.
 */
export async function listDevices(session: Session, command: number): Promise<readonly Uuid[]> {
  let room = 0;
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      const [list] = await session.invoke(command, [temporary.output(room)]);
      if (list.length % deviceSize !== 0) throw noList(`${list.length} bytes are not a whole number of UUIDs`);
      return Array.from({ length: list.length / deviceSize }, (_, index) =>
        uuidFromOctets(list.subarray(index * deviceSize)),
      );
    } catch (error) {
      if (!(error instanceof TeecError)) throw error;
      // The pseudo-TA predates this command, or the RPMB is not available.
      if (command === DevicePtaCommand.getDevicesRpmb && error.code !== TeeResult.ERROR_SHORT_BUFFER) return [];
      if (error.code !== TeeResult.ERROR_SHORT_BUFFER) throw error;
      room = error.sizes?.[0] ?? 0;
      if (room > listMax) throw noList(`it is ${room} bytes long, at most ${listMax} are allowed`);
    }
  }
  throw noList(`it grew ${attempts} times while it was read`);
}

function noList(what: string): TeecError {
  return commsError(TeeResult.ERROR_COMMUNICATION, `enumerating devices: the list of UUIDs: ${what}`);
}
