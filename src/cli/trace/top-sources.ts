import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { KernelTracepoints } from '../../linux/kernel-tracepoints.js';
import { LiveState } from '../../trace/live-state.js';
import { TraceReader } from '../../trace/nwt/trace-reader.js';

/** Bytes read at once. */
const pieceSize = 1 << 20;

/** A source of calls for `top`. */
export interface TopSource extends Disposable {
  readonly name: string;
  readonly state: LiveState;
  /** Read the new events. */
  read(): void;
  /** Time since the last event, in milliseconds. */
  readonly quietMs: number;
  /** The current time on the clock of its events. */
  readonly now: number;
  /** Further messages for the screen. */
  readonly notes: readonly string[];
}

/** Follows a growing trace file. */
export class FileSource implements TopSource {
  readonly state = new LiveState();
  readonly notes = [];
  private readonly fd: number;
  private readonly reader = new TraceReader(this.state);
  private readonly piece = new Uint8Array(pieceSize);
  private at = 0;

  constructor(readonly name: string) {
    this.fd = openSync(name, 'r');
  }

  read(): void {
    for (;;) {
      const size = readSync(this.fd, this.piece, 0, pieceSize, this.at);
      if (size === 0) return;
      this.at += size;
      this.reader.push(this.piece.subarray(0, size));
    }
  }

  /** Also counts the time before this command started. */
  get quietMs(): number {
    return Math.max(0, Date.now() - fstatSync(this.fd).mtimeMs);
  }

  /**
   * The calls of a hanging program continue to hang, so the time advances without new events. A virtual clock only
   * advances with events.
   */
  get now(): number {
    const { subject, time } = this.state;
    return subject.clock === 'virtual' ? time : time + this.quietMs;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

/** The calls of all programs on this machine, from the tracepoints of Linux's driver. */
export class KernelSource implements TopSource {
  readonly state = new LiveState();
  readonly name = 'this machine';
  private readonly tracepoints: KernelTracepoints;

  /** @throws TracepointsError */
  constructor(tracefs: string | undefined) {
    this.tracepoints = new KernelTracepoints(this.state, tracefs);
  }

  read(): void {
    this.tracepoints.read();
  }

  /** The kernel records nothing while no program makes calls, so silence has no meaning. */
  get quietMs(): number {
    return 0;
  }

  get now(): number {
    return Number(process.hrtime.bigint()) / 1e6;
  }

  get notes(): readonly string[] {
    const { lost } = this.tracepoints;
    return lost === 0 ? [] : [`the kernel lost events ${lost} times because its trace buffer was full`];
  }

  [Symbol.dispose](): void {
    this.tracepoints[Symbol.dispose]();
  }
}
