import type { Timeline } from '../timeline/timeline.js';
import { type SliceDetails, type TrackWriter, writeTracks } from './tracks.js';

/** Size of a piece, in characters. */
const pieceSize = 1 << 18;

/**
 * Export a timeline as Chrome's trace-event JSON ("JSON Object Format"), which chrome://tracing and Perfetto's UI open.
 * Yields consecutive pieces of text.
 */
export function* exportChrome(timeline: Timeline): Generator<string> {
  const writer = new EventWriter();
  for (const _ of writeTracks(timeline, writer)) if (writer.length >= pieceSize) yield writer.take();
  yield `${writer.take()}]}\n`;
}

/** Writes a line of JSON for each event. */
class EventWriter implements TrackWriter {
  private text = '{"displayTimeUnit":"ms","traceEvents":[\n';
  private separator = '';
  private readonly groupOf = new Map<number, number>();
  private readonly counters = new Map<number, string>();

  get length(): number {
    return this.text.length;
  }

  take(): string {
    const { text } = this;
    this.text = '';
    return text;
  }

  group(pid: number, name: string): void {
    this.line({ ph: 'M', pid, name: 'process_name', args: { name } });
  }

  track(tid: number, pid: number, name: string): void {
    this.groupOf.set(tid, pid);
    this.line({ ph: 'M', pid, tid, name: 'thread_name', args: { name } });
    this.line({ ph: 'M', pid, tid, name: 'thread_sort_index', args: { sort_index: tid } });
  }

  counter(id: number, group: number, name: string): void {
    this.groupOf.set(id, group);
    this.counters.set(id, name);
  }

  beginSlice(
    tid: number,
    start: number,
    end: number,
    name: string,
    args: SliceDetails,
    flowsOut: readonly number[],
    flowsIn: readonly number[],
  ): void {
    const at = { pid: this.groupOf.get(tid), tid };
    const ts = micro(start);
    this.line({ ph: 'X', ...at, ts, dur: micro(end - start), name, args });
    for (const id of flowsOut) this.line({ ph: 's', ...at, ts, id, name: 'flow', cat: 'flow' });
    for (const id of flowsIn) this.line({ ph: 'f', bp: 'e', ...at, ts, id, name: 'flow', cat: 'flow' });
  }

  endSlice(): void {
    // A slice has its duration.
  }

  instant(tid: number, time: number, name: string): void {
    this.line({ ph: 'i', s: 't', pid: this.groupOf.get(tid), tid, ts: micro(time), name });
  }

  count(counter: number, time: number, calls: number): void {
    const at = { pid: this.groupOf.get(counter), ts: micro(time) };
    this.line({ ph: 'C', ...at, name: this.counters.get(counter), args: { calls } });
  }

  private line(event: object): void {
    this.text += this.separator + JSON.stringify(event);
    this.separator = ',\n';
  }
}

const micro = (ms: number) => ms * 1000;
