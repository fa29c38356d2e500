import { ownDriver } from './client/driver-of-tee.js';
import { Tee } from './client/tee.js';
import { type Clock, machineClock } from './clock/clock.js';
import { immediateSchedule, type Schedule } from './clock/schedule.js';
import { type OptionNames, requireKnownOptions, requireMethods } from './known-options.js';
import type { DisciplineName } from './optee/call-queue/call-queue.js';
import { keepsReserve, noReserve } from './optee/call-queue/disciplines.js';
import { type DriverOptions, openDriver } from './optee/open-driver.js';
import type { I2cAdapter } from './optee/rpc/i2c-rpc.js';
import type { SecureWorld } from './protocol/secure-world.js';
import type { RpmbDevice } from './rpmb/rpmb-device.js';
import { checkSupplicantSettings, type SupplicantSettings, startSupplicant } from './start-supplicant.js';
import { type ClientIdentity, checkIdentity } from './tee/login.js';
import { Trace } from './trace/trace.js';

export interface OpenWorldOptions {
  /** The call queue's discipline; `hand-off` when left out. */
  readonly queue?: DisciplineName;
  /**
   * Keep one thread of secure world for the driver's calls that end or wake others, or give back what they wait for:
   * cancellations, bottom halves, ends of sessions and registrations. Others then have one thread less. False when left
   * out; only hand-off can.
   */
  readonly reserve?: boolean;
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
  /** I2C buses that secure world may use, by their number; without one it is told NOT_SUPPORTED. */
  readonly i2c?: ReadonlyMap<number, I2cAdapter>;
  /** Who a client is that does not say otherwise; root when left out. */
  readonly identity?: ClientIdentity;
  /**
   * How long a call may take that does not say otherwise, in milliseconds of the clock: from the call to its answer. It
   * is that of closing a session too, and of the calls of clients that are served. For ever when left out. See `limitMs`
   * of `invoke`.
   */
  readonly callLimitMs?: number;
  /** Time; the machine's when left out. */
  readonly clock?: Clock;
  /** Who goes next where the order is open; the machine decides when left out. */
  readonly schedule?: Schedule;
  /** Where events go; a stream of its own when left out. */
  readonly trace?: Trace;
}

/** Of `openWorld`. */
export const openWorldNames: OptionNames<OpenWorldOptions> = {
  ...{
    queue: true,
    createQueue: true,
    supplicant: true,
    rpmb: true,
    i2c: true,
    identity: true,
    callLimitMs: true,
    clock: true,
  },
  ...{ schedule: true, trace: true, supplicantRequests: true, reserve: true },
};

/** @throws TypeError or RangeError naming a value that cannot be. */
export function checkWorldOptions(whose: string, options: Omit<OpenWorldOptions, 'trace'>): void {
  const { supplicant, identity, callLimitMs, reserve = false, queue = 'hand-off', clock, schedule } = options;
  if (typeof reserve !== 'boolean')
    throw new TypeError(`${whose}: reserve is ${String(reserve)}; allowed: true and false`);
  if (reserve && !keepsReserve(queue)) throw new RangeError(`${whose}: reserve: ${noReserve(queue)}`);
  if (supplicant !== undefined && supplicant !== false) checkSupplicantSettings(supplicant);
  if (identity !== undefined) checkIdentity(identity);
  if (clock !== undefined) requireMethods(whose, 'clock', clock, ['now', 'wallClock', 'setTimer']);
  if (schedule !== undefined) requireMethods(whose, 'schedule', schedule, ['point']);
  if (callLimitMs !== undefined && !(typeof callLimitMs === 'number' && callLimitMs >= 0))
    throw new RangeError(`${whose}: callLimitMs is ${String(callLimitMs)}; allowed: milliseconds from 0, and Infinity`);
}

/**
 * Open the TEE that a secure world holds: probe it, drive it, give it a supplicant. The TEE owns the world from here on.
 * @throws TeecError NOT_SUPPORTED with the reason when the world is no OP-TEE that can be used.
 */
export async function openWorld(world: SecureWorld, options: OpenWorldOptions = {}): Promise<Tee> {
  try {
    requireKnownOptions('openWorld', options, openWorldNames);
    checkWorldOptions('openWorld', options);
    const clock = options.clock ?? machineClock;
    const queue = options.queue ?? 'hand-off';
    const trace = options.trace ?? new Trace(clock);
    const schedule = options.schedule ?? immediateSchedule;
    const rpmb = options.rpmb ?? [];
    const callLimitMs = options.callLimitMs ?? Number.POSITIVE_INFINITY;
    const { driver, info } = await openDriver(world, {
      queue,
      clock,
      schedule,
      trace,
      rpmb,
      ...(options.i2c === undefined ? {} : { i2c: options.i2c }),
      createQueue: options.createQueue,
      reserve: options.reserve ?? false,
      supplicantRequests: options.supplicantRequests ?? 'fail',
    });
    trace.describe({ world: world.name, queue, threads: info.threadCount });
    const under = ownDriver({ driver, world, info });
    const tee = new Tee(under, options.identity ?? { uid: 0, gid: 0, groups: [] }, callLimitMs);
    if (options.supplicant !== false) startSupplicant(tee, options.supplicant);
    return tee;
  } catch (error) {
    await world[Symbol.asyncDispose]();
    throw error;
  }
}
