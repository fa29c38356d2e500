import { knots, stuckParties } from '../../trace/waits/wait-cycle.js';
import type { OpenCall } from '../journal/run-journal.js';
import { type Need, waitsOf } from './needs.js';

/** Calls that wait for each other, for ever. */
export interface Circle {
  /** Each waits for others of them only. */
  readonly calls: readonly OpenCall[];
  /** Calls that wait behind them and that none of them waits for. */
  readonly victims: readonly OpenCall[];
  /** The one whose wait closed it, and when, in milliseconds of the run's clock. */
  readonly closedBy: OpenCall;
  readonly closedAt: number;
}

/** The circle that closed first; nothing when there is no deadlock. Whoever waits behind any of them is a victim. */
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

/** From when on a call waits for what it waits for now, in milliseconds of the run's clock. */
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
