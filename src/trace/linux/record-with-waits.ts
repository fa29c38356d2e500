import type { TraceSubject } from '../event.js';
import { encodeEvent } from '../event-codec.js';
import type { TraceRecorder } from '../trace.js';
import type { RpcNeed } from './rpc-needs.js';

/** An `rpc-wait` event and its time, in milliseconds. */
export interface RecordedWait extends RpcNeed {
  readonly time: number;
}

/** Passes the events of a record on, and adds `rpc-wait` events in order of time. */
export class RecordWithWaits implements TraceRecorder {
  private written = 0;

  /** @param waits in order of time. */
  constructor(
    private readonly into: TraceRecorder,
    private readonly waits: readonly RecordedWait[],
  ) {}

  describe(subject: TraceSubject): void {
    this.into.describe(subject);
  }

  record(kind: number, time: number, call: number, a: number, b: number, c: number, text: string): void {
    this.writeBefore(time);
    this.into.record(kind, time, call, a, b, c, text);
  }

  /** All events of the record have been passed on. */
  end(): void {
    this.writeBefore(Number.POSITIVE_INFINITY);
  }

  private writeBefore(end: number): void {
    for (let next = this.waits[this.written]; next !== undefined && next.time < end; next = this.waits[this.written]) {
      const { time, call, needs, through } = next;
      encodeEvent(this.into, time, { type: 'rpc-wait', call, needs, through });
      this.written++;
    }
  }
}
