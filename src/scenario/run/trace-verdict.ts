import type { TraceVerdict } from '../../trace/verdict.js';
import type { ClientRecord } from '../journal/client-record.js';
import type { RunResult } from '../scenario-result.js';

/** The verdict on a run as stored in its trace. @param from the start of the main phase, in milliseconds. */
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
