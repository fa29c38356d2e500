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
  reserveFollowsSessions: 'the queue reserves for more or fewer system sessions than are open',
  normalTakesReserve: 'a call of no system session is given a thread that system sessions are owed',
  reservationNeedsSecondThread:
    'a session becomes a system session where no second thread is counted, or is refused although one is',
  reliefSleepsBesideFreeThread:
    'a relief call (cancellation, bottom half, end of a session or registration) sleeps beside a thread it may have',
  reliefWaitsBehindOthers: 'a thread that a sleeping relief call may have is given to a call that is none',
  othersTakeReliefThread: 'a call that is no relief call is given the thread that is kept for those',
  refusedCallerPauses:
    'a caller that secure world refused calls again at once though nothing has changed, or pauses though a return will wake it',
} as const;

export type PropertyName = keyof typeof PROPERTIES;

export const PROPERTY_NAMES = Object.keys(PROPERTIES) as readonly PropertyName[];

/** The properties as bits of a set. */
export const PROPERTY_BIT = Object.fromEntries(PROPERTY_NAMES.map((name, bit) => [name, 1 << bit])) as Readonly<
  Record<PropertyName, number>
>;
