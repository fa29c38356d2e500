import { knots, stuckParties } from '../../trace/waits/wait-cycle.js';
import type { OpenCall } from '../journal/run-journal.js';
import { type Need, waitsOf } from './needs.js';

/** Calls that wait for each other in a cycle. */
export interface Circle {
  /** Each of these waits only for others of them. */
  readonly calls: readonly OpenCall[];
  /** Calls that wait for a call of the cycle, while no call of the cycle waits for them. */
  readonly victims: readonly OpenCall[];
  /** The call whose wait closed the cycle, and when, in milliseconds of the run's clock. */
  readonly closedBy: OpenCall;
  readonly closedAt: number;
}

/**
 * The cycle that closed first; undefined if there is no deadlock. Calls that wait for any of the cycle's calls are
 * victims.
 */
export function firstCircle(needs: ReadonlyMap<OpenCall, Need>): Circle | undefined {
  const waits = waitsOf(needs);
  const circles = knots(waits).flatMap((calls) => {
    const [closedBy] = [...calls].sort((one, other) => waitsSince(other) - waitsSince(one) || other.id - one.id);
    return closedBy === undefined ? [] : [{ calls, closedBy, closedAt: waitsSince(closedBy) }];
  });
  const [first] = circles.sort((one, other) => one.closedAt - other.closedAt);
  if (first === undefined) return undefined;
  return { ...first, victims: [...stuckParties(waits)].filter((call) => !first.calls.includes(call)) };
}

/** The start of a call's present wait, in milliseconds of the run's clock. */
export function waitsSince({ state, begun }: OpenCall): number {
  switch (state.at) {
    case 'queue':
      return state.since;
    case 'rpc':
      return state.request?.since ?? state.since;
    case 'door':
    case 'secure':
      return begun;
    default:
      return state satisfies never;
  }
}
