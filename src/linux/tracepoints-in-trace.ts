import { startInterval } from '../clock/timer.js';
import { show } from '../show.js';
import { EventKind, kindMask, type TraceSink } from '../trace/event-codec.js';
import type { Trace, TraceRecorder } from '../trace/trace.js';
import { KernelTracepoints } from './kernel-tracepoints.js';
import type { LinuxDriver } from './linux-driver.js';
import type { CallingThread } from './thread-handle.js';

/** How often the kernel's events are read, and how long events of this process are held back for them. Milliseconds. */
const readEveryMs = 50;

/** How long it is known which thread made a call, in milliseconds: longer than its tracepoints take to be read. */
const takenForMs = 5000;

/** A call of this process that a thread has taken. */
interface Taken {
  readonly time: number;
  readonly call: number;
  /** When it returned. The thread may then make calls that are not in the trace. */
  until: number;
}

/** A record, as its sink receives it. */
type Entry = readonly [kind: number, time: number, call: number, a: number, b: number, c: number, text: string];

/**
 * OP-TEE's tracepoints in Linux as events of a trace, between the events of this process, in order of time. The kernel's
 * events come later than they happen, so those of this process are held back until then. What the kernel does for a
 * call of this process are events of that call; the calls of other programs are calls of their own.
 */
export class TracepointsInTrace implements Disposable {
  private readonly out: TraceSink;
  private readonly tracepoints: KernelTracepoints;
  private readonly stop: () => void;
  private own: Entry[] = [];
  private kernels: Entry[] = [];
  /** Calls that are in the kernel, by their number there. */
  private readonly calls = new Map<number, { readonly number: number; readonly own: boolean }>();
  /** Calls of this process by the thread that took them, in order of time. */
  private readonly taken = new Map<CallingThread, Taken[]>();
  private lost = 0;
  private ended = false;

  /**
   * @param tracefs mount point of tracefs; searched when left out.
   * @throws TracepointsError
   */
  constructor(
    private readonly trace: Trace,
    private readonly driver: LinuxDriver,
    tracefs?: string,
  ) {
    // The kernel's clock is CLOCK_MONOTONIC, as that of process.hrtime.
    const ahead = Number(process.hrtime.bigint()) / 1e6 - trace.time;
    const into: TraceRecorder = {
      record: (kind, time, call, a, b, c, text) => {
        const which = kind & kindMask;
        if (which === EventKind.callBegin) this.begin(time - ahead, call, text);
        const known = this.calls.get(call);
        if (known === undefined) return;
        if (which === EventKind.callEnd) this.calls.delete(call);
        // A call of this process has a beginning and an end of its own.
        const isTwice = known.own && (which === EventKind.callBegin || which === EventKind.callEnd);
        if (!isTwice) this.kernels.push([kind, time - ahead, known.number, a, b, c, text]);
      },
      describe: () => undefined,
    };
    this.tracepoints = new KernelTracepoints(into, tracefs);
    driver.onTaken = (call, thread) => {
      let calls = this.taken.get(thread);
      if (calls === undefined) {
        calls = [];
        this.taken.set(thread, calls);
      }
      calls.push({ time: trace.time, call, until: Number.POSITIVE_INFINITY });
    };
    this.out = trace.divert({
      record: (...entry) => {
        this.own.push(entry);
        const [kind, time, call] = entry;
        if ((kind & kindMask) === EventKind.callEnd) this.returned(time, call);
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
    this.flush();
    this.tracepoints[Symbol.dispose]();
    this.driver.onTaken = undefined;
    this.trace.divert(undefined);
  }

  private read(): void {
    try {
      this.tracepoints.read();
    } catch (error) {
      this.trace.mark(`no more of the kernel's tracepoints: ${show(error)}`);
      this[Symbol.dispose]();
      return;
    }
    const lost = this.tracepoints.lost - this.lost;
    this.lost += lost;
    if (lost > 0) this.trace.mark(`the kernel lost events ${lost} times: its trace buffer was full`);
    this.flush();
  }

  /** Pass on all events so far, in order. */
  private flush(): void {
    const entries = [...this.own, ...this.kernels].sort(([, one], [, other]) => one - other);
    this.own = [];
    this.kernels = [];
    this.forgetTaken();
    for (const entry of entries) this.out.record(...entry);
  }

  /** A call begins in the kernel: one of this process, or else a new one. */
  private begin(time: number, call: number, task: string): void {
    const taken = this.takenBy(Number(/-(\d+)$/.exec(task)?.[1]), time);
    // A call of the same thread within an RPC of that call is the kernel's own.
    const isInside = [...this.calls.values()].some(({ number }) => number === taken?.call);
    const own = taken !== undefined && !isInside;
    this.calls.set(call, { number: own ? taken.call : this.driver.newCallNumber(), own });
  }

  private takenBy(threadId: number, time: number): Taken | undefined {
    for (const [thread, calls] of this.taken)
      if (thread.threadId === threadId) return calls.find((each) => each.time <= time && time <= each.until);
    return undefined;
  }

  private returned(time: number, call: number): void {
    for (const calls of this.taken.values()) {
      const taken = calls.findLast((each) => each.call === call);
      if (taken !== undefined) taken.until = time;
    }
  }

  private forgetTaken(): void {
    const before = this.trace.time - takenForMs;
    for (const [thread, calls] of this.taken) {
      const kept = calls.filter(({ until }) => until >= before);
      if (kept.length === 0) this.taken.delete(thread);
      else this.taken.set(thread, kept);
    }
  }
}
