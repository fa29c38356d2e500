import type { RunResult } from '../scenario-result.js';
import type { Evidence } from '../verdict/evidence.js';
import { explain } from '../verdict/explanation.js';
import type { SecureSide } from './secure-side.js';

/** The result of a run: the verdict, and the record of its threads and calls since its beginning. */
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
