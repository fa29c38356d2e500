import { startInterval } from '../clock/timer.js';
import { EventKind, kindMask, type TraceSink } from '../trace/event-codec.js';
import type { Trace, TraceRecorder } from '../trace/trace.js';
import { KernelTracepoints } from './kernel-tracepoints.js';

/** How often the kernel's events are read, and how long events of this process are held back for them. Milliseconds. */
const readEveryMs = 50;

/** A record, as its sink receives it. */
type Entry = readonly [kind: number, time: number, call: number, a: number, b: number, c: number, text: string];

/**
 * OP-TEE's tracepoints in Linux as events of a trace, between the events of this process, in order of time. The kernel's
 * events come later than they happen, so those of this process are held back until then.
 */
export class TracepointsInTrace implements Disposable {
  private readonly out: TraceSink;
  private readonly tracepoints: KernelTracepoints;
  private readonly stop: () => void;
  private own: Entry[] = [];
  private kernels: Entry[] = [];
  /** Numbers in the trace of calls that are in the kernel, by their number there. */
  private readonly numbers = new Map<number, number>();
  private lost = 0;
  private ended = false;

  /**
   * @param newCallNumber the next number of a call in the trace.
   * @param tracefs mount point of tracefs; searched when left out.
   * @throws TracepointsError
   */
  constructor(
    private readonly trace: Trace,
    private readonly newCallNumber: () => number,
    tracefs?: string,
  ) {
    // The kernel's clock is CLOCK_MONOTONIC, as that of process.hrtime.
    const ahead = Number(process.hrtime.bigint()) / 1e6 - trace.time;
    const into: TraceRecorder = {
      record: (kind, time, call, a, b, c, text) => {
        this.kernels.push([kind, time - ahead, this.numberOf(kind & kindMask, call), a, b, c, text]);
      },
      describe: () => undefined,
    };
    this.tracepoints = new KernelTracepoints(into, tracefs);
    this.out = trace.divert({
      record: (...entry) => {
        this.own.push(entry);
      },
    });
    this.stop = startInterval(readEveryMs, () => this.read(), { background: true });
  }

  /** Disable the tracepoints and pass on the rest. */
  [Symbol.dispose](): void {
    if (this.ended) return;
    this.ended = true;
    this.stop();
    this.read();
    this.tracepoints[Symbol.dispose]();
    this.trace.divert(undefined);
  }

  private read(): void {
    let failure: unknown;
    try {
      this.tracepoints.read();
    } catch (error) {
      failure = error;
    }
    const entries = [...this.own, ...this.kernels].sort(([, one], [, other]) => one - other);
    this.own = [];
    this.kernels = [];
    for (const entry of entries) this.out.record(...entry);
    if (this.tracepoints.lost > this.lost)
      this.trace.mark(`the kernel lost events ${this.tracepoints.lost - this.lost} times: its trace buffer was full`);
    this.lost = this.tracepoints.lost;
    if (failure === undefined || this.ended) return;
    this.trace.mark(
      `no more of the kernel's tracepoints: ${failure instanceof Error ? failure.message : 'not readable'}`,
    );
    this[Symbol.dispose]();
  }

  private numberOf(kind: number, call: number): number {
    if (call === 0) return 0;
    const known = this.numbers.get(call);
    const number = known ?? this.newCallNumber();
    if (known === undefined) this.numbers.set(call, number);
    if (kind === EventKind.callEnd) this.numbers.delete(call);
    return number;
  }
}
