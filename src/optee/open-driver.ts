import type { Clock } from '../clock/clock.js';
import type { Schedule } from '../clock/schedule.js';
import { SecureWorldCapability } from '../protocol/optee-smc.js';
import { type MemoryRange, type PhysicalMemory, pageSize } from '../protocol/physical-memory.js';
import type { SecureWorld } from '../protocol/secure-world.js';
import type { RpmbDevice } from '../rpmb/rpmb-device.js';
import { TeeContext } from '../tee/tee-context.js';
import type { Trace } from '../trace/trace.js';
import type { CallQueue, DisciplineName } from './call-queue/call-queue.js';
import { createCallQueue } from './call-queue/disciplines.js';
import { FfaAbi } from './ffa/ffa-abi.js';
import { FfaLink, mailboxMemorySize } from './ffa/ffa-link.js';
import { FfaNotificationSource } from './ffa/ffa-notification.js';
import { probeFfa } from './ffa/ffa-probe.js';
import { learnCapacity } from './ffa/learn-capacity.js';
import { Notifications } from './notification.js';
import { Optee } from './optee.js';
import { OpteeDriver } from './optee-driver.js';
import { type I2cAdapter, I2cRpc } from './rpc/i2c-rpc.js';
import { RpmbRpc } from './rpc/rpmb-rpc.js';
import { SupplicantQueue, type WaitingRequests } from './rpc/supplicant-queue.js';
import { ShmPool } from './shm-pool.js';
import { SmcAbi } from './smc/smc-abi.js';
import { SmcNotificationSource } from './smc/smc-notification.js';
import { probeSmc, type SecureWorldInfo } from './smc/smc-probe.js';

export interface DriverOptions {
  readonly queue: DisciplineName;
  /** Creates the call queue in place of the discipline's own. */
  readonly createQueue?: ((discipline: DisciplineName, threadCount: number, reserve: boolean) => CallQueue) | undefined;
  /** Keep one thread for relief calls; only hand-off can. */
  readonly reserve?: boolean;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly trace: Trace;
  /** RPMB devices for which the kernel routes frames. */
  readonly rpmb?: readonly RpmbDevice[];
  /** I2C buses that secure world may use, by number. */
  readonly i2c?: ReadonlyMap<number, I2cAdapter>;
  /**
   * What happens to requests that no supplicant has taken when the supplicant detaches; `fail`, as in Linux, when left
   * out.
   */
  readonly supplicantRequests?: WaitingRequests;
}

export interface OpenedDriver {
  readonly driver: OpteeDriver;
  readonly info: SecureWorldInfo;
}

/**
 * Probe a secure world and create a driver for it: Linux's `optee_probe()` and `optee_ffa_probe()`.
 * @throws TeecError NOT_SUPPORTED with the reason if it is not an OP-TEE that this driver supports.
 */
export function openDriver(world: SecureWorld, options: DriverOptions): Promise<OpenedDriver> {
  return world.abi === 'ffa' ? openFfaDriver(world, options) : openSmcDriver(world, options);
}

async function openSmcDriver(world: SecureWorld, options: DriverOptions): Promise<OpenedDriver> {
  const info = await probeSmc(world.conduit);
  const dynamic = (info.capabilities & SecureWorldCapability.dynamicShm) !== 0;
  const ranges = dynamic || info.reservedShm === undefined ? world.normalWorldRam : [info.reservedShm];
  // Fail here, not at the first call, if a range does not exist.
  for (const range of ranges) world.memory.window(range.base, range.size);
  const pool = new ShmPool(world.memory, dynamic, ranges);
  // Put messages into reserved memory if there is some: OP-TEE always has it mapped, but maps a registered page for
  // each call and unmaps it afterwards on all CPUs.
  const messagePool =
    dynamic && info.reservedShm !== undefined && isThere(world.memory, info.reservedShm)
      ? new ShmPool(world.memory, false, [info.reservedShm])
      : pool;
  const optee = newOptee(info, info.threadCount, pool, messagePool, options);
  listen(world, optee);
  const abi = new SmcAbi(optee, world.conduit, info);
  // Secure world may still hold memory of an earlier driver.
  await abi.disableShmCache(false);
  if (info.rpcParamCount === 0) await abi.enableShmCache();
  const driver = new OpteeDriver(optee, abi, abi.argCache);
  if (world.notificationInterrupt !== undefined && (info.capabilities & SecureWorldCapability.asyncNotif) !== 0)
    await driver.takeNotifications(
      world.notificationInterrupt,
      new SmcNotificationSource(optee, world.conduit, info.maxNotificationValue),
    );
  return { driver, info };
}

async function openFfaDriver(world: SecureWorld, options: DriverOptions): Promise<OpenedDriver> {
  const [ram, ...more] = world.normalWorldRam;
  if (ram === undefined || ram.size <= mailboxMemorySize) throw new RangeError('there is no memory to share');
  const link = await FfaLink.open(world.conduit, world.memory, ram.base);
  const probe = await probeFfa(link);
  const { info } = probe;
  const rest = { base: ram.base + mailboxMemorySize, size: ram.size - mailboxMemorySize };
  const pool = new ShmPool(world.memory, true, [rest, ...more]);
  // Linux does not track threads over FF-A (`optee_cq_init(cq, 0)`) and has no system sessions there.
  const handOff = options.queue.startsWith('hand-off');
  let capacity = 0;
  if (handOff) {
    const untracked = new FfaAbi(newOptee(info, 0, pool, pool, options), link, probe);
    capacity = await learnCapacity(link, () => untracked.allocate(pageSize), info.rpcParamCount);
  }
  const optee = newOptee(info, capacity, pool, pool, options);
  listen(world, optee);
  const abi = new FfaAbi(optee, link, probe);
  const driver = new OpteeDriver(optee, abi, abi.argCache);
  if (world.notificationInterrupt !== undefined && (info.capabilities & SecureWorldCapability.asyncNotif) !== 0)
    await driver.takeNotifications(world.notificationInterrupt, new FfaNotificationSource(optee, link));
  return { driver, info };
}

function newOptee(
  info: SecureWorldInfo,
  threadCount: number,
  pool: ShmPool,
  messagePool: ShmPool,
  {
    queue,
    createQueue = createCallQueue,
    reserve = false,
    clock,
    schedule,
    trace,
    rpmb = [],
    i2c = new Map(),
    supplicantRequests = 'fail',
  }: DriverOptions,
): Optee {
  const callQueue = createQueue(queue, threadCount, reserve);
  callQueue.onUnusedWakeUp = (waiter, by) => {
    if (trace.on) trace.queueWake(waiter.label, by?.label ?? 0, false);
  };
  return new Optee(
    callQueue,
    pool,
    messagePool,
    new Notifications(info.maxNotificationValue, clock),
    new SupplicantQueue(clock, supplicantRequests),
    new RpmbRpc(rpmb),
    new I2cRpc(i2c),
    new TeeContext('kernel', true, { uid: 0, gid: 0, groups: [] }),
    clock,
    schedule,
    trace,
  );
}

function isThere(memory: PhysicalMemory, { base, size }: MemoryRange): boolean {
  try {
    memory.window(base, size);
    return true;
  } catch {
    return false;
  }
}

/** Handle events of a world outside of calls. */
function listen(world: SecureWorld, optee: Optee): void {
  void world.ended?.then(() => optee.end());
  world.panics?.listen((panic) => optee.panics.set(panic.uuid, panic));
}
