import type { TraceRecorder } from '../trace.js';
import { RecordedCalls } from './recorded-calls.js';
import { parseTracepoint, tracepointName } from './tracepoint-line.js';

/** Largest part of an incomplete line that is kept, in characters. */
const longestLine = 4096;
/** Largest number of task names that are kept. */
const mostNames = 10_000;

/** Converts the output of Linux's OP-TEE tracepoints (`trace_pipe`) to events as it arrives. */
export class LiveTracepoints {
  /** Number of lines in which the kernel reports lost events. */
  lost = 0;
  /** The time of the last line, in milliseconds of the kernel's clock. */
  time: number | undefined;
  private readonly names = new Map<number, string>();
  private readonly calls: RecordedCalls;
  private rest = '';

  constructor(into: TraceRecorder) {
    into.describe({ world: 'Linux, its tracepoints', clock: 'linux' });
    const nameOf = (pid: number) => `${this.names.get(pid) ?? '<...>'}-${pid}`;
    // Later lines are unknown here. If a task continues an outer call, its inner call has ended.
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
