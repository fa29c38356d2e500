import type { Clock } from '../clock/clock.js';
import type { OpteeDriver } from '../optee/optee-driver.js';
import type { SecureWorldInfo } from '../optee/smc/smc-probe.js';
import { type UnfinishedCall, unfinishedCalls } from '../optee/unfinished-calls.js';
import type { SecureWorld } from '../protocol/secure-world.js';
import type { TeeDriver } from '../tee/tee-driver.js';
import type { Trace } from '../trace/trace.js';
import type { DeviceNeeds } from './devices.js';

/** Who carries RPMB frames: the kernel's driver, or the supplicant in user space (sysfs, `rpmb_routing_model`). */
export type RpmbRouting = 'kernel' | 'user';

/** The driver under a TEE: ours, whose state is accessible, or the one of a kernel. */
export interface DriverOfTee extends AsyncDisposable {
  readonly driver: TeeDriver;
  readonly trace: Trace;
  readonly clock: Clock;
  /** Bytes. */
  readonly sharedMemoryInUse: number;
  /** Our own driver and its secure world; undefined for the driver of a kernel. */
  readonly inside: DriverInside | undefined;
  /** OP-TEE's version; undefined if it is unknown. */
  readonly revision: string | undefined;
  readonly rpmbRouting: RpmbRouting | undefined;
  /** Resolves with the reason when secure world can no longer be reached; undefined if that is not detectable. */
  readonly ended: Promise<Error> | undefined;
  /** The services that are available to devices, and the devices on a kernel's bus. */
  readonly devices: DevicesOfDriver;
  /** Calls that have not returned. */
  unfinished(): readonly UnfinishedCall[];
  /** Stop waiting for anything. */
  end(): void;
}

export interface DevicesOfDriver {
  readonly there: DeviceNeeds;
  /**
   * Calls back when devices may have been added or removed. @returns ends it. @throws TeecError NOT_SUPPORTED if the
   * driver does not report changes.
   */
  watch(onChange: () => void): () => void;
  /**
   * UUIDs on the kernel's bus; a device in OP-TEE's list that is not among them has not been added yet. Undefined: no
   * bus.
   */
  onBus(): ReadonlySet<string> | undefined;
}

export interface DriverInside {
  readonly driver: OpteeDriver;
  readonly world: SecureWorld;
  readonly info: SecureWorldInfo;
}

/** `DriverOfTee` of our own driver. */
export function ownDriver(inside: DriverInside): DriverOfTee {
  const { driver, world, info } = inside;
  const { optee } = driver;
  const { major, minor, buildId } = info.osRevision;
  return {
    driver,
    inside,
    trace: optee.trace,
    clock: optee.clock,
    get sharedMemoryInUse() {
      return optee.sharedMemoryInUse;
    },
    revision: buildId === 0 ? `${major}.${minor}` : `${major}.${minor} (${buildId.toString(16)})`,
    get rpmbRouting() {
      return optee.rpmb.present ? 'kernel' : 'user';
    },
    devices: {
      get there() {
        return { supplicant: optee.supplicant.present, rpmb: optee.rpmb.present };
      },
      watch(onChange) {
        const ends = [optee.supplicant.onChange.add(onChange), optee.rpmb.onChange.add(onChange)];
        return () => {
          for (const end of ends) end();
        };
      },
      onBus: () => undefined,
    },
    ended: world.ended,
    unfinished: () => unfinishedCalls(optee),
    end: () => optee.end(),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}
