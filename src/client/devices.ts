import { DevicePtaCommand, devicePtaUuid, deviceSize } from '../protocol/pta-device.js';
import { TeeResult } from '../protocol/tee-result.js';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import { commsError, TeecError } from '../tee/teec-error.js';
import type { Context, KernelContext } from './context.js';
import { temporary } from './parameters.js';
import type { Session } from './session.js';

/** A trusted application that wants a driver in the normal world: a device on Linux's TEE bus. */
export interface TeeDeviceDescription {
  readonly uuid: Uuid;
  /** What must be there before its driver can work. */
  readonly needs: 'nothing' | 'supplicant' | 'rpmb';
}

/** The most bytes of UUIDs that are asked for: 4096 devices. */
const listMax = 4096 * deviceSize;
/** Devices can appear between asking for the size and asking for the list; so often they do not. */
const attempts = 4;

/** What is there for devices that need something. */
export interface DeviceNeeds {
  readonly supplicant: boolean;
  readonly rpmb: boolean;
}

/**
 * Ask OP-TEE which devices it has: Linux's device.c.
 * @param there which of those that need something are asked for.
 * @throws TeecError COMMUNICATION when the answer is no list.
 */
export async function enumerateDevices(
  context: Context | KernelContext,
  there: DeviceNeeds,
): Promise<readonly TeeDeviceDescription[]> {
  let session: Session;
  try {
    session = await context.openSession(devicePtaUuid, { login: { login: 'public' } });
  } catch (error) {
    // An OP-TEE built without it.
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
 * One of the lists of the pseudo-TA that enumerates devices.
 * @param command a `DevicePtaCommand`.
 * @throws TeecError COMMUNICATION when the answer is no list.
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
      // The command came later than the PTA, or what it needs is not there.
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
