import type { Clock } from '../clock/clock.js';
import type { Schedule } from '../clock/schedule.js';
import { SecureWorldCapability } from '../protocol/optee-smc.js';
import type { SecureWorld } from '../protocol/secure-world.js';
import { TeeContext } from '../tee/tee-context.js';
import type { Trace } from '../trace/trace.js';
import type { DisciplineName } from './call-queue/call-queue.js';
import { createCallQueue } from './call-queue/disciplines.js';
import { Notifications } from './notification.js';
import { Optee } from './optee.js';
import { OpteeDriver } from './optee-driver.js';
import { ShmPool } from './shm-pool.js';
import { SmcAbi } from './smc-abi.js';
import { SmcNotificationSource } from './smc-notification.js';
import { probeSmc, type SecureWorldInfo } from './smc-probe.js';
import { SupplicantQueue } from './supplicant-queue.js';

export interface DriverOptions {
  readonly queue: DisciplineName;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly trace: Trace;
}

/**
 * Probe a secure world and drive it: Linux's `optee_probe()`.
 * @throws TeecError NOT_SUPPORTED with the reason when it is not an OP-TEE that this driver can talk to.
 */
export async function openSmcDriver(
  world: SecureWorld,
  options: DriverOptions,
): Promise<{ readonly driver: OpteeDriver; readonly info: SecureWorldInfo }> {
  const info = await probeSmc(world.conduit);
  const dynamic = (info.capabilities & SecureWorldCapability.dynamicShm) !== 0;
  const ranges = dynamic || info.reservedShm === undefined ? world.normalWorldRam : [info.reservedShm];
  // A range that is not there fails here, not at the first call.
  for (const range of ranges) world.memory.window(range.base, range.size);
  const { trace } = options;
  const callQueue = createCallQueue(options.queue, info.threadCount);
  callQueue.onUnusedWakeUp = (waiter) => {
    if (trace.on) trace.queueWake(waiter.label, false);
  };
  const pool = new ShmPool(world.memory, dynamic, ranges);
  // Messages go into reserved memory where there is some: OP-TEE has it mapped at all times, whereas a registered page is
  // mapped for each call and unmapped after it, on all CPUs.
  const messagePool =
    dynamic && info.reservedShm !== undefined ? new ShmPool(world.memory, false, [info.reservedShm]) : pool;
  const optee = new Optee(
    callQueue,
    pool,
    messagePool,
    new Notifications(info.maxNotificationValue, options.clock),
    new SupplicantQueue(),
    new TeeContext('kernel', true, { uid: 0, gid: 0, groups: [] }),
    options.clock,
    options.schedule,
    trace,
  );
  const abi = new SmcAbi(optee, world.conduit, info);
  // Secure world may still keep memory of a driver that was here before us.
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
