import type { TraceVerdict } from '../../trace/verdict.js';
import type { ClientRecord } from '../journal/client-record.js';
import type { RunResult } from '../scenario-result.js';

/** What became of a run, as its trace says it. @param from when the run proper began. */
export function traceVerdict(
  { outcome, hangsSince, explanation }: RunResult,
  from: number,
  records: Iterable<ClientRecord>,
): TraceVerdict {
  const deadlines = [...records].flatMap(({ client: { name, deadline } }) =>
    deadline === undefined ? [] : [[name, deadline] as const],
  );
  return {
    outcome,
    ...(hangsSince === null ? {} : { hangsSinceMs: from + hangsSince }),
    explanation,
    ...(deadlines.length === 0 ? {} : { deadlines: Object.fromEntries(deadlines) }),
  };
}
