import type { ModelConfig } from '../model/queue-model.js';
import { OCCASIONS } from './judge.js';
import type { PropertyName } from './properties.js';

/** Why this search could not have broken a property; undefined if it could. */
export function vacuousBecause(name: PropertyName, config: ModelConfig, occasions: number): string | undefined {
  const { discipline, totalThreadCount, secureThreads, callers, repeating = [] } = config;
  const handsOff = discipline.startsWith('hand-off');
  const happened = (occasion: keyof typeof OCCASIONS) => (occasions & OCCASIONS[occasion]) !== 0;
  switch (name) {
    case 'lostWakeUp':
      return happened('normalSlept') || happened('systemSlept') ? undefined : 'no call ever sleeps';
    case 'dependencyDeadlock':
    case 'capacityDeadlock':
      if (!callers.flat().some((operation) => 'needs' in operation && operation.needs >= 0))
        return 'no call needs another';
      return happened('normalSlept') || happened('systemSlept') ? undefined : 'no call ever sleeps';
    case 'normalSleepsBesideFreeThread':
      return happened('normalSlept') ? undefined : 'no normal call ever sleeps';
    case 'systemSleepsBesideFreeThread':
    case 'systemSleepsReserveUnused':
      return happened('systemSlept') ? undefined : 'no system call ever sleeps';
    case 'threadLimitWhileTracked':
      if (discipline === 'linux-6.7') return 'the queue counts no threads';
      if (totalThreadCount === 0) return 'secure world announces no threads';
      return secureThreads < totalThreadCount ? 'secure world has fewer threads than it announces' : undefined;
    case 'counterOutOfRange':
    case 'conservation':
      return discipline === 'linux-6.7' || (totalThreadCount === 0 && !handsOff)
        ? 'the queue counts no threads'
        : undefined;
    case 'unboundedOvertaking':
      return handsOff || repeating.length > 0 ? undefined : 'no caller repeats';
    case 'reserveFollowsSessions':
    case 'reservationNeedsSecondThread':
      return happened('reservationAsked') ? undefined : 'no session asks to be a system session';
    case 'normalTakesReserve':
      return happened('normalClaimedBesideReserve') ? undefined : 'no normal call gets a thread while one is reserved';
    case 'reliefSleepsBesideFreeThread':
    case 'reliefWaitsBehindOthers':
      return happened('reliefSlept') ? undefined : 'no relief call ever sleeps';
    case 'othersTakeReliefThread':
      if (config.reserve !== true || !handsOff) return 'no thread is kept for relief calls';
      return happened('othersClaimedBesideKept') ? undefined : 'no other call gets a thread while one is kept';
    case 'refusedCallerPauses':
      return happened('refused') ? undefined : 'secure world refuses no call';
  }
}
