import type { TraceRecorder } from '../trace.js';
import { RecordedCalls } from './recorded-calls.js';
import { parseTracepoint, tracepointName } from './tracepoint-line.js';

/** What is kept of a line that has not ended. */
const longestLine = 4096;
/** Names of tasks that are remembered. */
const mostNames = 10_000;

/** Makes events of what Linux's tracepoints of OP-TEE say while they say it: the text of `trace_pipe`. */
export class LiveTracepoints {
  /** Lines of the kernel's that say that events were lost. */
  lost = 0;
  /** The time of the last line, milliseconds of the kernel's clock. */
  time: number | undefined;
  private readonly names = new Map<number, string>();
  private readonly calls: RecordedCalls;
  private rest = '';

  constructor(into: TraceRecorder) {
    into.describe({ world: 'Linux, its tracepoints', clock: 'linux' });
    const nameOf = (pid: number) => `${this.names.get(pid) ?? '<...>'}-${pid}`;
    // Nobody knows what comes: a task that goes on with an outer call has done with the inner one.
    this.calls = new RecordedCalls(into, 0, nameOf, () => false);
  }

  push(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = (lines.pop() ?? '').slice(0, longestLine);
    for (const line of lines) this.take(line);
  }

  private take(line: string): void {
    if (/\[(LOST )?\d* ?EVENTS/.test(line)) this.lost++;
    if (!line.includes(tracepointName)) return;
    const parsed = parseTracepoint(line);
    if (typeof parsed === 'string') return;
    if (parsed.comm !== '' && (this.names.has(parsed.pid) || this.names.size < mostNames))
      this.names.set(parsed.pid, parsed.comm);
    this.time = parsed.time;
    this.calls.read(parsed);
  }
}
