/** The verdict on a recorded run, by the program that ran it. */
export interface TraceVerdict {
  /** `finished`, `deadlock`, `stuck`, `starved`, `cut-off`; `no-calls` of a board. */
  readonly outcome: string;
  /** Since when calls have been waiting that never return, in milliseconds of the trace's clock. */
  readonly hangsSinceMs?: number;
  /** The explanation, in sentences. Indented ones belong to the sentence before them. */
  readonly explanation: readonly string[];
  /** By kind of client (`storage` of `storage 3`): the deadline of its calls, in milliseconds. */
  readonly deadlines?: Readonly<Record<string, number>>;
}

const mostSentences = 200;
const longestSentence = 2000;
const mostDeadlines = 1000;

/** The verdict in a trace's subject, if it is valid. */
export function checkedVerdict(json: unknown): TraceVerdict | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { outcome, hangsSinceMs, explanation, deadlines } = json as Record<string, unknown>;
  if (typeof outcome !== 'string' || !Array.isArray(explanation)) return undefined;
  return {
    outcome: outcome.slice(0, longestSentence),
    ...(typeof hangsSinceMs === 'number' && Number.isFinite(hangsSinceMs) ? { hangsSinceMs } : {}),
    explanation: explanation
      .filter((sentence) => typeof sentence === 'string')
      .slice(0, mostSentences)
      .map((sentence) => sentence.slice(0, longestSentence)),
    ...(typeof deadlines === 'object' && deadlines !== null ? { deadlines: checkedDeadlines(deadlines) } : {}),
  };
}

function checkedDeadlines(deadlines: object): Readonly<Record<string, number>> {
  const entries = Object.entries(deadlines).filter(([, ms]) => typeof ms === 'number' && ms > 0);
  return Object.fromEntries(entries.slice(0, mostDeadlines));
}
