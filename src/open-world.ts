import { Tee } from './client/tee.js';
import { type Clock, machineClock } from './clock/clock.js';
import { immediateSchedule, type Schedule } from './clock/schedule.js';
import type { DisciplineName } from './optee/call-queue/call-queue.js';
import { type DriverOptions, openDriver } from './optee/open-driver.js';
import type { SecureWorld } from './protocol/secure-world.js';
import type { RpmbDevice } from './rpmb/rpmb-device.js';
import { type SupplicantSettings, startSupplicant } from './start-supplicant.js';
import type { ClientIdentity } from './tee/login.js';
import { Trace } from './trace/trace.js';

export interface OpenWorldOptions {
  /** The call queue's discipline; `hand-off` when left out. */
  readonly queue?: DisciplineName;
  /** Makes the call queue, when it is not to be the discipline's own. */
  readonly createQueue?: DriverOptions['createQueue'] | undefined;
  /** False: no supplicant comes; requests to it wait until one does. */
  readonly supplicant?: SupplicantSettings | false;
  /**
   * Requests that a supplicant has not taken when it leaves: `fail` with COMMUNICATION, as in Linux, when left out; or
   * `wait` for the next.
   */
  readonly supplicantRequests?: 'fail' | 'wait';
  /** RPMB devices whose frames the kernel routes. Those of the supplicant are in its settings. */
  readonly rpmb?: readonly RpmbDevice[];
  /** Who a client is that does not say otherwise; root when left out. */
  readonly identity?: ClientIdentity;
  /** Time; the machine's when left out. */
  readonly clock?: Clock;
  /** Who goes next where the order is open; the machine decides when left out. */
  readonly schedule?: Schedule;
  /** Where events go; a stream of its own when left out. */
  readonly trace?: Trace;
}

/**
 * Open the TEE that a secure world holds: probe it, drive it, give it a supplicant. The TEE owns the world from here on.
 * @throws TeecError NOT_SUPPORTED with the reason when the world is no OP-TEE that can be used.
 */
export async function openWorld(world: SecureWorld, options: OpenWorldOptions = {}): Promise<Tee> {
  try {
    const clock = options.clock ?? machineClock;
    const queue = options.queue ?? 'hand-off';
    const trace = options.trace ?? new Trace(clock);
    const schedule = options.schedule ?? immediateSchedule;
    const rpmb = options.rpmb ?? [];
    const { driver, info } = await openDriver(world, {
      queue,
      clock,
      schedule,
      trace,
      rpmb,
      createQueue: options.createQueue,
      supplicantRequests: options.supplicantRequests ?? 'fail',
    });
    trace.describe({ world: world.name, queue, threads: info.threadCount });
    const tee = new Tee(info, driver, options.identity ?? { uid: 0, gid: 0, groups: [] }, world);
    if (options.supplicant !== false) startSupplicant(tee, options.supplicant);
    return tee;
  } catch (error) {
    await world[Symbol.asyncDispose]();
    throw error;
  }
}
