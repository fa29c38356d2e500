import { basename } from 'node:path';
import type { DevicesOfDriver, DriverOfTee, RpmbRouting } from '../client/driver-of-tee.js';
import { Tee } from '../client/tee.js';
import { machineClock } from '../clock/clock.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { isPath } from '../known-options.js';
import { show } from '../show.js';
import type { ClientIdentity } from '../tee/login.js';
import type { Trace } from '../trace/trace.js';
import { busDevices } from './bus-devices.js';
import type { DeviceDoor } from './device-door.js';
import { kernelDoor } from './kernel-door.js';
import { LinuxDriver } from './linux-driver.js';
import { TracepointsInTrace } from './tracepoints-in-trace.js';

export interface LinuxTeeOptions {
  /** `/dev/tee0` when left out; `ssh://[user@]board[:port][/dev/tee0]` for a board reachable over ssh. */
  readonly device?: string;
  /**
   * Largest number of concurrent requests in the kernel, 1 to 512; 32 when left out. Each request that blocks occupies
   * a thread of this process. Cancellations are not counted.
   */
  readonly deviceCalls?: number;
  /** Mount point of sysfs; `/sys` when left out. */
  readonly sysfs?: string;
  /**
   * Record the kernel's tracepoints of OP-TEE in the trace too: each entry to secure world and each return, of all
   * programs of this machine. Needs root. True, or the mount point of tracefs.
   */
  readonly tracepoints?: boolean | string;
}

export const mostCalls = 512;
export const usualCalls = 32;

/** @throws TypeError, RangeError naming the invalid option. */
export function checkLinuxTeeOptions({ device, deviceCalls, sysfs, tracepoints }: LinuxTeeOptions): void {
  if (tracepoints !== undefined && typeof tracepoints !== 'boolean' && !isPath(tracepoints))
    throw new TypeError(`openTee: tracepoints is true, or the path of tracefs, not ${show(tracepoints)}`);
  if (sysfs !== undefined && !isPath(sysfs))
    throw new TypeError(`openTee: sysfs is the path of a folder, not ${show(sysfs)}`);
  if (device !== undefined && !isPath(device))
    throw new TypeError(`openTee: device must be the path of a TEE device, not ${show(device)}`);
  if (deviceCalls !== undefined && !(Number.isInteger(deviceCalls) && deviceCalls >= 1 && deviceCalls <= mostCalls))
    throw new RangeError(`openTee: deviceCalls is ${show(deviceCalls)}; allowed: integers from 1 to ${mostCalls}`);
}

/** An open TEE device with its properties. */
export interface OpenedDevice {
  readonly door: DeviceDoor;
  readonly revision: string | undefined;
  readonly rpmbRouting: RpmbRouting | undefined;
  readonly devices: DevicesOfDriver;
  /** Identity of the client, as seen by that kernel. */
  readonly identity: ClientIdentity;
  /** Resolves with the reason when the device is no longer reachable. */
  readonly ended?: Promise<Error>;
  /** Release everything, in bounded time. May be called more than once. */
  close?(): Promise<void>;
}

/**
 * The TEE behind the kernel's own driver.
 * @param tracepoints record them as well.
 * @param onClose called when it is closed, possibly more than once.
 * @throws TracepointsError if tracepoints are wanted and cannot be used.
 */
export function linuxTee(
  { door, revision, rpmbRouting, devices, identity, ended, close }: OpenedDevice,
  trace: Trace,
  callLimitMs: number,
  tracepoints: boolean | string,
  onClose: () => void = () => undefined,
): Tee {
  const driver = new LinuxDriver(door, trace);
  const kernels =
    tracepoints === false
      ? undefined
      : new TracepointsInTrace(trace, driver, tracepoints === true ? undefined : tracepoints);
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
      kernels?.[Symbol.dispose]();
      onClose();
    },
  };
  return new Tee(under, identity, callLimitMs);
}

/**
 * Open a device of this machine.
 * @throws TeecError with advice if the device cannot be used.
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

/** An attribute of a device in sysfs; undefined if it does not exist. */
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

/** Identity of this process, as the kernel sees it. */
export function ownIdentity(): ClientIdentity {
  return {
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    groups: process.getgroups?.() ?? [],
  };
}
