import type { WaiterPhase } from '../../../optee/call-queue/call-queue.js';
import type { Stage } from '../model/caller.js';

/** The combinations of a caller's stage and phase; the index, below 16, is its place. */
const PLACES: readonly (readonly [Stage, WaiterPhase])[] = [
  ['idle', 'outside'],
  ['begun', 'outside'],
  ['releasing', 'outside'],
  ['done', 'outside'],
  ['ready', 'entered'],
  ['in_secure', 'entered'],
  ['in_rpc', 'entered'],
  ['returned', 'entered'],
  ['waiting', 'entered'],
  ['waiting', 'asleep-claim'],
  ['waiting', 'asleep-thread-limit'],
  ['waiting', 'requeue-claim'],
  ['waiting', 'requeue-thread-limit'],
  ['waiting', 'recheck'],
  ['limited', 'entered'],
  ['leaving', 'entered'],
];
export const STAGE_OF = PLACES.map(([stage]) => stage);
export const PHASE_OF = PLACES.map(([, phase]) => phase);
/** Bits per place. */
export const PLACE_BITS = 4;
/** The place of a caller that is done. */
export const DONE = 3;

/** The place of a stage and a phase: its index in the table. */
export function placeOf(stage: Stage, phase: WaiterPhase): number {
  switch (stage) {
    case 'idle':
      return 0;
    case 'begun':
      return 1;
    case 'releasing':
      return 2;
    case 'done':
      return DONE;
    case 'ready':
      return 4;
    case 'limited':
      return 14;
    case 'leaving':
      return 15;
    case 'in_secure':
      return 5;
    case 'in_rpc':
      return 6;
    case 'returned':
      return 7;
    case 'waiting':
      switch (phase) {
        case 'entered':
          return 8;
        case 'asleep-claim':
          return 9;
        case 'asleep-thread-limit':
          return 10;
        case 'requeue-claim':
          return 11;
        case 'requeue-thread-limit':
          return 12;
        case 'recheck':
          return 13;
        case 'outside':
          throw new Error('a caller waits outside the queue');
      }
  }
}
