import { type Clock, sleep } from '../../clock/clock.js';
import type { Random } from '../../clock/random.js';
import type { Schedule } from '../../clock/schedule.js';
import { type Duration, drawTime } from '../duration.js';

/**
 * A schedule in which a task of the normal world loses time wherever another task could preempt it: before an SMC,
 * after a wake-up, before it takes the queue's mutex again. Threads of secure world are not affected.
 */
export function preempting(schedule: Schedule, clock: Clock, time: Duration, random: Random): Schedule {
  if (time.max === 0) return schedule;
  return {
    decides: true,
    get fine() {
      return schedule.fine;
    },
    async point(actor, step) {
      if (actor.startsWith('call ')) await sleep(clock, drawTime(time, random));
      await schedule.point(actor, step);
    },
    choose: (actor, options) => schedule.choose(actor, options),
  };
}
