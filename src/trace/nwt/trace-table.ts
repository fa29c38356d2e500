import type { TimedTraceEvent, TraceSubject } from '../event.js';
import { decodeEvents } from '../event-codec.js';
import type { TraceRecorder } from '../trace.js';
import { type TraceDamage, TraceFormatError, TraceReader } from './trace-reader.js';

/** Number of 32-bit words per record. */
const wordsPerRecord = 6;
/** Largest number of records of a table, limited by the size of a typed array. */
const mostRecords = 2 ** 28;
/** The reader copies its input, so pass it at most this many bytes at once. */
const pieceSize = 1 << 20;

/** A trace in memory, as columns: 40 MB for a million events, without objects for the garbage collector. */
export class TraceTable implements TraceRecorder {
  subject: TraceSubject = {};
  length = 0;
  /** Damaged places of the file that it was read from. */
  damage: readonly TraceDamage[] = [];
  private times = new Float64Array(1024);
  private words = new Uint32Array(1024 * wordsPerRecord);
  private readonly texts: string[] = [''];
  private readonly textIds = new Map<string, number>([['', 0]]);

  record(kind: number, time: number, call: number, a: number, b: number, c: number, text: string): void {
    const index = this.length;
    if (index === this.times.length) this.grow();
    let id = this.textIds.get(text);
    if (id === undefined) {
      id = this.texts.push(text) - 1;
      this.textIds.set(text, id);
    }
    this.times[index] = time;
    const at = index * wordsPerRecord;
    this.words[at] = kind;
    this.words[at + 1] = call;
    this.words[at + 2] = a;
    this.words[at + 3] = b;
    this.words[at + 4] = c;
    this.words[at + 5] = id;
    this.length = index + 1;
  }

  describe(subject: TraceSubject): void {
    this.subject = subject;
  }

  /** Time of record `index`, in milliseconds. */
  time(index: number): number {
    return this.times[index] ?? Number.NaN;
  }

  /** An `EventKind`, with `flagBit`. */
  kind(index: number): number {
    return this.words[index * wordsPerRecord] ?? 0;
  }

  call(index: number): number {
    return this.words[index * wordsPerRecord + 1] ?? 0;
  }

  a(index: number): number {
    return this.words[index * wordsPerRecord + 2] ?? 0;
  }

  b(index: number): number {
    return this.words[index * wordsPerRecord + 3] ?? 0;
  }

  c(index: number): number {
    return this.words[index * wordsPerRecord + 4] ?? 0;
  }

  text(index: number): string {
    return this.texts[this.words[index * wordsPerRecord + 5] ?? 0] ?? '';
  }

  /** The events of record `index`: see `decodeEvents`. */
  eventsAt(index: number): TimedTraceEvent[] {
    return decodeEvents(
      this.kind(index),
      this.time(index),
      this.call(index),
      this.a(index),
      this.b(index),
      this.c(index),
      this.text(index),
    );
  }

  /** All events that this version knows, in order. */
  *events(): Generator<TimedTraceEvent> {
    for (let index = 0; index < this.length; index++) yield* this.eventsAt(index);
  }

  private grow(): void {
    const room = this.times.length * 2;
    let times: Float64Array<ArrayBuffer>;
    let words: Uint32Array<ArrayBuffer>;
    try {
      if (room > mostRecords) throw new RangeError(`at most ${mostRecords}`);
      times = new Float64Array(room);
      words = new Uint32Array(room * wordsPerRecord);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new TraceFormatError(`the trace has more than ${this.length} events, for which there is no memory`, {
        cause: error,
      });
    }
    times.set(this.times);
    this.times = times;
    words.set(this.words);
    this.words = words;
  }
}

/**
 * Read a `.nwt` file. Damage is reported in the table's `damage`; undamaged events are in the table.
 * @throws TraceFormatError if the bytes are not a trace, or have another version.
 */
export function readTrace(bytes: Uint8Array): TraceTable {
  const table = new TraceTable();
  const reader = new TraceReader(table);
  for (let at = 0; at < bytes.length; at += pieceSize) reader.push(bytes.subarray(at, at + pieceSize));
  reader.end();
  table.damage = reader.damage;
  return table;
}
