import type { Caller, Operation } from './caller.js';
import type { QueueModel } from './queue-model.js';

/** What is checked, and in words what it means when it is broken. */
export const PROPERTIES = {
  lostWakeUp: 'a caller sleeps for ever although no call is in flight',
  dependencyDeadlock: 'calls wait for one that sleeps for ever, although a thread is free that it may have',
  capacityDeadlock: 'calls wait for one that sleeps for ever, and no thread is free that it may have',
  normalSleepsBesideFreeThread: 'a normal call sleeps until an unrelated call returns, beside a thread it may have',
  systemSleepsBesideFreeThread: 'a system call sleeps until an unrelated call returns, beside a thread it may have',
  threadLimitWhileTracked: 'secure world answers ETHREAD_LIMIT although it has every thread that it announced',
  counterOutOfRange: 'a counter is below zero, or above what there can be',
  systemSleepsReserveUnused:
    'a system call sleeps beside a free thread while fewer system calls run than are reserved for',
  unboundedOvertaking: 'a caller can be overtaken by others of its class for ever, though everyone keeps going',
  conservation: 'claimed and free threads do not add up',
} as const;

export type PropertyName = keyof typeof PROPERTIES;

export const PROPERTY_NAMES = Object.keys(PROPERTIES) as readonly PropertyName[];

/** The properties as bits of a set. */
export const PROPERTY_BIT = Object.fromEntries(PROPERTY_NAMES.map((name, bit) => [name, 1 << bit])) as Readonly<
  Record<PropertyName, number>
>;

const {
  lostWakeUp,
  dependencyDeadlock,
  capacityDeadlock,
  normalSleepsBesideFreeThread,
  systemSleepsBesideFreeThread,
  threadLimitWhileTracked,
  counterOutOfRange,
  systemSleepsReserveUnused,
  unboundedOvertaking,
  conservation,
} = PROPERTY_BIT;

/**
 * The properties that the model's state breaks, as a set of bits. `unboundedOvertaking` shows in a state only where the
 * discipline itself promises an order; else it is looked for as a cycle (fair-cycle.ts). The deadlocks are told by `deadlocks`
 * where nobody can step.
 */
export function brokenInState(model: QueueModel): number {
  const { queue, callers } = model;
  let normalClaims = 0;
  let systemClaims = 0;
  let systemInside = 0;
  let systemSleeps = false;
  let normalMayEnter = false;
  let systemMayEnter = false;
  /** No step is under way that could wake a sleeper: everyone sleeps, is inside, or has nothing to do with it. */
  let quiet = true;
  for (let i = 0; i < callers.length; i++) {
    const caller = callers[i];
    if (caller === undefined) break;
    const { waiter, stage, system } = caller;
    switch (stage) {
      case 'in_secure':
      case 'in_rpc':
        if (system) systemInside++;
        break;
      case 'ready':
      case 'limited':
      case 'returned':
      case 'leaving':
      case 'releasing':
        quiet = false;
        break;
      case 'waiting':
        if (!isAsleep(caller)) {
          quiet = false;
        } else if (system) {
          systemSleeps = true;
          systemMayEnter ||= queue.allows(waiter);
        } else {
          normalMayEnter ||= queue.allows(waiter);
        }
        break;
    }
    if (stage !== 'leaving' && queue.holdsClaim(waiter)) {
      if (system) systemClaims++;
      else normalClaims++;
    }
  }

  const violation = queue.violation(normalClaims, systemClaims, model.config.secureThreads);
  let broken = 0;
  if (violation === 'conservation') broken |= conservation;
  else if (violation === 'range') broken |= counterOutOfRange;
  else if (violation === 'order') broken |= unboundedOvertaking;
  if (quiet && model.secureFree > 0) {
    if (normalMayEnter) broken |= normalSleepsBesideFreeThread;
    if (systemMayEnter) broken |= systemSleepsBesideFreeThread;
    if (systemSleeps && systemInside < queue.reservedThreads()) broken |= systemSleepsReserveUnused;
  }
  return broken;
}

/** The properties that the step just taken broke, as a set of bits. */
export function brokenByStep({ config, outcome }: QueueModel, step: string): number {
  const { discipline, totalThreadCount, secureThreads } = config;
  const honest = totalThreadCount > 0 && secureThreads >= totalThreadCount;
  // Linux up to 6.7 does not track threads, whatever secure world announces.
  if (discipline === 'linux-6.7' || !honest) return 0;
  return step === 'smc' && !outcome.entered ? threadLimitWhileTracked : 0;
}

/** The deadlocks that the model's state is, as a set of bits; nobody can step in it. */
export function deadlocks(model: QueueModel): number {
  const { callers, queue, secureFree } = model;
  if (!callers.some(isAsleep)) return 0;
  if (!callers.some(({ stage }) => stage === 'in_secure')) return lostWakeUp;
  if (!callers.some((caller) => waitsForSleeper(model, caller))) return 0;
  const mayEnter = callers.some((caller) => isAsleep(caller) && queue.allows(caller.waiter));
  return secureFree > 0 && mayEnter ? dependencyDeadlock : capacityDeadlock;
}

/** Nobody can wake it unless somebody else steps. */
export function isAsleep({ stage, waiter }: Caller): boolean {
  if (stage !== 'waiting' || waiter.completed) return false;
  return waiter.phase === 'asleep-claim' || waiter.phase === 'asleep-thread-limit';
}

/** The caller is inside secure world and waits, itself or through others, for one that sleeps. */
function waitsForSleeper(model: QueueModel, caller: Caller): boolean {
  let at: Caller | undefined = caller;
  for (let hops = 0; hops <= model.callers.length; hops++) {
    if (at?.stage !== 'in_secure') return at !== undefined && at !== caller && isAsleep(at);
    const operation: Operation = at.operation;
    at = 'needs' in operation && operation.needs >= 0 ? model.callers[operation.needs] : undefined;
  }
  return false;
}
