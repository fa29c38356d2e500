import { waitGraph } from '../../../src/trace/index.js';
import type { Run } from '../run/run.js';

export interface Place {
  /** On the axis of time, in milliseconds. */
  readonly from: number;
  readonly to: number;
  readonly cursor: number;
}

/** Margins before and after the part of interest, relative to its length. */
const before = 0.5;
const after = 0.6;

/**
 * The part to show first: where the cycle of a deadlock closed, or the call that exceeded its deadline most; else
 * everything after the set-up.
 */
export function placeToOpen(runs: readonly Run[]): Place {
  const extent = Math.max(...runs.map((run) => run.extent('time'))) || 1;
  const whole = { from: 0, to: extent * 1.02, cursor: extent };
  for (const run of runs) {
    const place = hangOf(run) ?? worstLate(run);
    if (place !== undefined) return place;
  }
  return whole;
}

/** The longest of the calls that exceeded their deadlines. */
function worstLate(run: Run): Place | undefined {
  const took = (call: number) => run.callEnd(call, 'time') - run.callStart(call, 'time');
  const [worst] = [...run.lateCalls].sort((one, other) => took(other) - took(one));
  if (worst === undefined) return undefined;
  const [from, cursor] = [run.callStart(worst, 'time'), run.callEnd(worst, 'time')];
  const span = cursor - from;
  return {
    from: Math.max(0, from - span * before),
    to: Math.min(run.extent('time') * 1.02, cursor + span * before),
    cursor,
  };
}

function hangOf(run: Run): Place | undefined {
  const { timeline, table } = run;
  const { hangsSinceMs } = table.subject.verdict ?? {};
  const last = table.length - 1;
  const record = hangsSinceMs === undefined ? last : run.recordAt(hangsSinceMs - run.base, 'time');
  if (record < 0) return undefined;
  const { cycle, waits } = waitGraph(timeline, record);
  const involved = cycle.length > 0 ? cycle : hangsSinceMs === undefined ? [] : [...waits.keys()];
  if (involved.length === 0) return undefined;
  const cursor = run.position(record, 'time');
  const end = run.extent('time');
  // Begin with the first call of the cycle, so that the events that led to the deadlock are visible.
  const begun = Math.min(...involved.map((call) => run.callStart(call, 'time')));
  const formed = cursor - begun;
  const around = Math.min(end - cursor, end / 20);
  // A board may hang for minutes after a deadlock that formed within milliseconds.
  const span = formed > 0 ? Math.max(formed, Math.min(around, formed * 3)) : Math.max(around, end / 1000);
  return {
    from: Math.max(0, begun - span * before),
    to: Math.min(end * 1.02, cursor + span * after),
    cursor,
  };
}
