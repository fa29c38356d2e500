import { ownDriver } from './client/driver-of-tee.js';
import { Tee } from './client/tee.js';
import { type Clock, machineClock } from './clock/clock.js';
import { immediateSchedule, type Schedule } from './clock/schedule.js';
import {
  type OptionNames,
  requireBooleans,
  requireFunction,
  requireKnownOptions,
  requireMethods,
} from './known-options.js';
import type { DisciplineName } from './optee/call-queue/call-queue.js';
import { keepsReserve, noReserve } from './optee/call-queue/disciplines.js';
import { type DriverOptions, openDriver } from './optee/open-driver.js';
import type { I2cAdapter } from './optee/rpc/i2c-rpc.js';
import type { SecureWorld } from './protocol/secure-world.js';
import { checkRpmbDevices, type RpmbDevice } from './rpmb/rpmb-device.js';
import { show } from './show.js';
import { checkSupplicantSettings, type SupplicantSettings, startSupplicant } from './start-supplicant.js';
import { type ClientIdentity, checkIdentity } from './tee/login.js';
import { Trace } from './trace/trace.js';

export interface OpenWorldOptions {
  /** The call queue's discipline. Default: `hand-off`. */
  readonly queue?: DisciplineName;
  /**
   * Keep one thread of secure world for relief calls, which end or wake other calls or release what these wait for:
   * cancellations, bottom halves, ends of sessions and registrations. Other calls then have one thread less. Only
   * hand-off supports it. Default: false.
   */
  readonly reserve?: boolean;
  /** Creates the call queue. Default: the discipline's own. */
  readonly createQueue?: DriverOptions['createQueue'] | undefined;
  /** False: no supplicant is started; requests wait until there is one. */
  readonly supplicant?: SupplicantSettings | false;
  /**
   * The requests that a leaving supplicant has not received: `fail` with COMMUNICATION, as in Linux, or `wait` for the
   * next supplicant. Default: `fail`.
   */
  readonly supplicantRequests?: 'fail' | 'wait';
  /** RPMB devices whose frames the kernel routes. Devices of the supplicant are in its settings. */
  readonly rpmb?: readonly RpmbDevice[];
  /** I2C buses for secure world, by bus number. Requests for other buses fail with NOT_SUPPORTED. */
  readonly i2c?: ReadonlyMap<number, I2cAdapter>;
  /** The default identity of clients. Default: root. */
  readonly identity?: ClientIdentity;
  /**
   * The default limit of a call in milliseconds of the clock, from the request to the answer; also of closing a
   * session, and of calls of served clients. Default: no limit. See `limitMs` of `invoke`.
   */
  readonly callLimitMs?: number;
  /** The time source. Default: the machine's clock. */
  readonly clock?: Clock;
  /** Decides the order of events. Default: the order is that of the machine. */
  readonly schedule?: Schedule;
  /** The destination of events. Default: a new stream without listeners. */
  readonly trace?: Trace;
}

/** The names of the options of `openWorld`. */
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

/** @throws TypeError or RangeError naming an option with an invalid value. */
export function checkWorldOptions(whose: string, options: Omit<OpenWorldOptions, 'trace'>): void {
  const { supplicant, identity, callLimitMs, reserve = false, queue = 'hand-off', clock, schedule } = options;
  const { supplicantRequests, createQueue, rpmb, i2c } = options;
  requireBooleans(whose, { reserve });
  if (reserve && !keepsReserve(queue)) throw new RangeError(`${whose}: reserve: ${noReserve(queue)}`);
  if (supplicant !== undefined && supplicant !== false) checkSupplicantSettings(supplicant);
  if (identity !== undefined) checkIdentity(identity);
  if (clock !== undefined) requireMethods(whose, 'clock', clock, ['now', 'wallClock', 'setTimer']);
  if (schedule !== undefined) requireMethods(whose, 'schedule', schedule, ['point']);
  if (supplicantRequests !== undefined && supplicantRequests !== 'fail' && supplicantRequests !== 'wait')
    throw new TypeError(`${whose}: supplicantRequests is ${show(supplicantRequests)}; allowed: "fail" and "wait"`);
  if (createQueue !== undefined) requireFunction(whose, 'createQueue', createQueue);
  if (rpmb !== undefined) checkRpmbDevices(whose, 'rpmb', rpmb);
  if (i2c !== undefined) requireMethods(whose, 'i2c', i2c, ['get']);
  if (callLimitMs !== undefined && !(typeof callLimitMs === 'number' && callLimitMs >= 0))
    throw new RangeError(`${whose}: callLimitMs is ${show(callLimitMs)}; allowed: milliseconds from 0, and Infinity`);
}

/**
 * Open the TEE of a secure world: probe it, start the driver and a supplicant. From then on the TEE owns the world.
 * @throws TeecError NOT_SUPPORTED with the reason if the world is not a usable OP-TEE.
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
