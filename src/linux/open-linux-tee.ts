import { basename } from 'node:path';
import type { DevicesOfDriver, DriverOfTee, RpmbRouting } from '../client/driver-of-tee.js';
import { Tee } from '../client/tee.js';
import { machineClock } from '../clock/clock.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import type { ClientIdentity } from '../tee/login.js';
import type { Trace } from '../trace/trace.js';
import { busDevices } from './bus-devices.js';
import type { DeviceDoor } from './device-door.js';
import { kernelDoor } from './kernel-door.js';
import { LinuxDriver } from './linux-driver.js';

export interface LinuxTeeOptions {
  /** `/dev/tee0` when left out; `ssh://[user@]board[:port][/dev/tee0]` is that of a board that ssh reaches. */
  readonly device?: string;
  /**
   * How many requests may be in the kernel at a time, 1 to 512; 32 when left out. Each that blocks holds a thread of this
   * process. Cancellations come on top.
   */
  readonly deviceCalls?: number;
  /** Where sysfs is mounted; `/sys` when left out. */
  readonly sysfs?: string;
}

export const mostCalls = 512;
export const usualCalls = 32;

/** @throws TypeError, RangeError naming what cannot be. */
export function checkLinuxTeeOptions({ device, deviceCalls, sysfs }: LinuxTeeOptions): void {
  if (sysfs !== undefined && (typeof sysfs !== 'string' || sysfs === ''))
    throw new TypeError(`openTee: sysfs is the path of a folder, not ${JSON.stringify(sysfs)}`);
  if (device !== undefined && (typeof device !== 'string' || device === ''))
    throw new TypeError(`openTee: device must be the path of a TEE device, not ${JSON.stringify(device)}`);
  if (deviceCalls !== undefined && !(Number.isInteger(deviceCalls) && deviceCalls >= 1 && deviceCalls <= mostCalls))
    throw new RangeError(`openTee: deviceCalls is ${String(deviceCalls)}; allowed: integers from 1 to ${mostCalls}`);
}

/** A device, and what is known of it beside what it does. */
export interface OpenedDevice {
  readonly door: DeviceDoor;
  readonly revision: string | undefined;
  readonly rpmbRouting: RpmbRouting | undefined;
  readonly devices: DevicesOfDriver;
  /** Who asks, as that kernel sees it. */
  readonly identity: ClientIdentity;
  /** Resolves with the reason when the device cannot be reached any more. */
  readonly ended?: Promise<Error>;
  /** Resolves, in bounded time, when nothing of it is left; may be called more than once. */
  close?(): Promise<void>;
}

/**
 * The TEE behind the kernel's own driver.
 * @param onClose is called when it is closed; it may be more than once.
 */
export function linuxTee(
  { door, revision, rpmbRouting, devices, identity, ended, close }: OpenedDevice,
  trace: Trace,
  callLimitMs: number,
  onClose: () => void = () => undefined,
): Tee {
  const driver = new LinuxDriver(door, trace);
  trace.describe({ world: 'linux', threads: 0 });
  const under: DriverOfTee = {
    driver,
    trace,
    clock: machineClock,
    get sharedMemoryInUse() {
      return driver.sharedMemoryInUse;
    },
    inside: undefined,
    revision,
    rpmbRouting,
    devices,
    ended,
    unfinished: () => driver.unfinished(),
    end: () => driver.end(),
    [Symbol.asyncDispose]: async () => {
      await driver.remove();
      await close?.();
      onClose();
    },
  };
  return new Tee(under, identity, callLimitMs);
}

/**
 * The device of this machine.
 * @throws TeecError with what to do, when there is none that can be used.
 */
export function openDeviceHere({
  device = '/dev/tee0',
  deviceCalls = usualCalls,
  sysfs = '/sys',
}: LinuxTeeOptions): OpenedDevice {
  return {
    door: kernelDoor(device, deviceCalls),
    revision: attributeOf(sysfs, device, 'revision'),
    rpmbRouting: routingOf(sysfs, device),
    devices: busDevices(sysfs),
    identity: ownIdentity(),
  };
}

/** What Linux shows of a device in sysfs; undefined where it does not. */
function attributeOf(sysfs: string, device: string, name: string): string | undefined {
  try {
    return readRegularFileSync(`${sysfs}/class/tee/${basename(device)}/${name}`)
      .toString()
      .trim();
  } catch {
    return undefined;
  }
}

function routingOf(sysfs: string, device: string): RpmbRouting | undefined {
  const text = attributeOf(sysfs, device, 'rpmb_routing_model');
  return text === 'kernel' || text === 'user' ? text : undefined;
}

/** This process, as the kernel sees it. */
export function ownIdentity(): ClientIdentity {
  return {
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    groups: process.getgroups?.() ?? [],
  };
}
