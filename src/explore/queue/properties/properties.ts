/** The checked properties, with the meaning of a violation. */
export const PROPERTIES = {
  lostWakeUp: 'a caller sleeps for ever although no call is in flight',
  dependencyDeadlock: 'calls wait for one that sleeps for ever, although it may have a free thread',
  capacityDeadlock: 'calls wait for one that sleeps for ever, and there is no free thread that it may have',
  normalSleepsBesideFreeThread:
    'a normal call sleeps until an unrelated call returns, although it may have a free thread',
  systemSleepsBesideFreeThread:
    'a system call sleeps until an unrelated call returns, although it may have a free thread',
  threadLimitWhileTracked: 'secure world answers ETHREAD_LIMIT although it has every thread that it announced',
  counterOutOfRange: 'a counter is below zero, or above its maximum',
  systemSleepsReserveUnused:
    'a system call sleeps although a thread is free and fewer system calls run than threads are reserved',
  unboundedOvertaking:
    'a caller can be overtaken by others of its class for ever, though every caller keeps making steps',
  conservation: 'claimed and free threads do not add up',
  reserveFollowsSessions: 'the queue reserves for more or fewer system sessions than are open',
  normalTakesReserve: 'a call outside a system session gets a thread that is reserved for system sessions',
  reservationNeedsSecondThread:
    'a session becomes a system session although no second thread is counted, or is refused although one is',
  reliefSleepsBesideFreeThread:
    'a relief call (cancellation, bottom half, end of a session or registration) sleeps although it may have a free thread',
  reliefWaitsBehindOthers: 'a thread that a sleeping relief call may have is given to another call',
  othersTakeReliefThread: 'a call other than a relief call gets the thread that is kept for relief calls',
  refusedCallerPauses:
    'a caller refused by secure world calls again at once although nothing has changed, or pauses although a return will wake it',
} as const;

export type PropertyName = keyof typeof PROPERTIES;

export const PROPERTY_NAMES = Object.keys(PROPERTIES) as readonly PropertyName[];

/** The properties as bits of a set. */
export const PROPERTY_BIT = Object.fromEntries(PROPERTY_NAMES.map((name, bit) => [name, 1 << bit])) as Readonly<
  Record<PropertyName, number>
>;
