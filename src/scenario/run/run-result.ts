import type { RunResult } from '../scenario-result.js';
import type { Evidence } from '../verdict/evidence.js';
import { explain } from '../verdict/explanation.js';
import type { SecureSide } from './secure-side.js';

/** What became of a run: the verdict, and what its threads and calls did, in the time since it began. */
export function runResult(evidence: Evidence, { recorder, calls }: SecureSide): RunResult {
  const { queue, duration, systemSessions, journal, from } = evidence;
  return {
    queue,
    ...explain(evidence),
    duration,
    systemSessions,
    swallowedWakeUps: journal.swallowed,
    threads: recorder.changes.map((changes) => changes.map(({ time, use }) => ({ time: time - from, use }))),
    asleep: calls.asleep.map(({ time, calls: asleep }) => ({ time: time - from, calls: asleep })),
  };
}
