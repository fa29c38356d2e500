import type { TimedTraceEvent, TraceSubject } from './event.js';
import { decodeEvents } from './event-codec.js';
import type { TraceRecorder } from './trace.js';
import { type TraceDamage, TraceReader } from './trace-reader.js';

/** The numbers of one record. */
const wordsPerRecord = 6;

/** A trace in memory, as columns: a million events in 40 MB, and nothing for the collector to do. */
export class TraceTable implements TraceRecorder {
  subject: TraceSubject = {};
  length = 0;
  /** Where the file that it was read from could not be read. */
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

  /** Milliseconds of record `index`. */
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

  /** Every event that this version knows, in order. */
  *events(): Generator<TimedTraceEvent> {
    for (let index = 0; index < this.length; index++) yield* this.eventsAt(index);
  }

  private grow(): void {
    const times = new Float64Array(this.times.length * 2);
    times.set(this.times);
    this.times = times;
    const words = new Uint32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
  }
}

/**
 * Read a `.nwt` file. Damage is told in the table's `damage`; what is whole is there.
 * @throws TraceFormatError when the bytes are no trace, or one of another version.
 */
export function readTrace(bytes: Uint8Array): TraceTable {
  const table = new TraceTable();
  const reader = new TraceReader(table);
  reader.push(bytes);
  reader.end();
  table.damage = reader.damage;
  return table;
}
