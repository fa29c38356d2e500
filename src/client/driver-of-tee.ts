import type { Clock } from '../clock/clock.js';
import type { OpteeDriver } from '../optee/optee-driver.js';
import type { SecureWorldInfo } from '../optee/smc/smc-probe.js';
import { type UnfinishedCall, unfinishedCalls } from '../optee/unfinished-calls.js';
import type { SecureWorld } from '../protocol/secure-world.js';
import type { TeeDriver } from '../tee/tee-driver.js';
import type { Trace } from '../trace/trace.js';
import type { DeviceNeeds } from './devices.js';

/** Who answers the supplicant's requests: the kernel's driver, or the client of it (sysfs, `rpmb_routing_model`). */
export type RpmbRouting = 'kernel' | 'user';

/** The driver under a TEE: ours, which can tell everything of itself, or one that is in the kernel. */
export interface DriverOfTee extends AsyncDisposable {
  readonly driver: TeeDriver;
  readonly trace: Trace;
  readonly clock: Clock;
  /** Bytes. */
  readonly sharedMemoryInUse: number;
  /** Our own driver, with the secure world that it drives; undefined for one that is in the kernel. */
  readonly inside: DriverInside | undefined;
  /** OP-TEE's version; undefined when it is not told. */
  readonly revision: string | undefined;
  readonly rpmbRouting: RpmbRouting | undefined;
  /** Resolves with the reason when secure world can no longer be reached; undefined when nobody can tell. */
  readonly ended: Promise<Error> | undefined;
  /** What devices that need something find; and of a kernel those that it has on its bus. */
  readonly devices: DevicesOfDriver;
  /** Calls that have not come back. */
  unfinished(): readonly UnfinishedCall[];
  /** Nothing is waited for any more. */
  end(): void;
}

export interface DevicesOfDriver {
  readonly there: DeviceNeeds;
  /**
   * Calls back when devices may have come or gone. @returns ends it. @throws TeecError NOT_SUPPORTED where that is not told.
   */
  watch(onChange: () => void): () => void;
  /** UUIDs on the kernel's bus: a device that OP-TEE lists and that is not there has not come yet. Undefined: there is none. */
  onBus(): ReadonlySet<string> | undefined;
}

export interface DriverInside {
  readonly driver: OpteeDriver;
  readonly world: SecureWorld;
  readonly info: SecureWorldInfo;
}

/** Of our own driver. */
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
