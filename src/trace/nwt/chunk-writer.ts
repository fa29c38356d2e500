import type { TraceSubject } from '../event.js';
import type { TraceRecorder } from '../trace.js';
import {
  ChunkField,
  ChunkType,
  chunkChecksum,
  chunkGrain,
  chunkHeaderSize,
  chunkMagic,
  maxTextSize,
  paddingKind,
  RecordField,
  recordSize,
  shortBit,
  shortRecordSize,
  textKind,
} from './nwt-format.js';

/** The words of a record, by 32 and by 64 bits. */
const Word = {
  kind: RecordField.kind / 4,
  call: RecordField.call / 4,
  time: RecordField.time / 8,
  a: RecordField.a / 4,
  b: RecordField.b / 4,
  c: RecordField.c / 4,
  text: RecordField.text / 4,
} as const;

/**
 * Makes chunks of a `.nwt` file out of records, in one buffer that it fills again and again. Records are written as the
 * processor's own words, which costs half of what a DataView does: the format is that of little-endian processors.
 */
export abstract class ChunkWriter implements TraceRecorder {
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly words: Uint32Array;
  private readonly doubles: Float64Array;
  private readonly encoder = new TextEncoder();
  /** Texts defined in this chunk, by their number. */
  private readonly texts = new Map<string, number>();
  /** The last text that was used, and its number: most records have the same as the one before. */
  private lastText = '';
  private lastNumber = 0;
  private at = chunkHeaderSize;
  private sequence = 0;

  /** @param chunkSize bytes of a full chunk of events, with its header: a multiple of 32, for a text or more. */
  constructor(private readonly chunkSize: number) {
    this.bytes = new Uint8Array(chunkSize);
    this.words = new Uint32Array(this.bytes.buffer);
    this.doubles = new Float64Array(this.bytes.buffer);
    this.words[0] = chunkMagic;
    if (this.bytes[0] !== (chunkMagic & 0xff)) throw new Error('traces are recorded on little-endian processors only');
  }

  /** Take a finished chunk; the bytes are overwritten when this has returned. */
  protected abstract write(chunk: Uint8Array): void;

  record(kind: number, time: number, call: number, a: number, b: number, c: number, text: string): void {
    if (this.at + recordSize > this.chunkSize) this.flush();
    const number = text === '' ? 0 : text === this.lastText ? this.lastNumber : this.numberOf(text);
    const { words, at } = this;
    const word = at >>> 2;
    words[word + Word.call] = call;
    this.doubles[(at >>> 3) + Word.time] = time;
    if (number === 0 && (a | b | c) === 0) {
      words[word + Word.kind] = kind | shortBit;
      this.at = at + shortRecordSize;
      return;
    }
    words[word + Word.kind] = kind;
    words[word + Word.a] = a;
    words[word + Word.b] = b;
    words[word + Word.c] = c;
    words[word + Word.text] = number;
    this.at = at + recordSize;
  }

  describe(subject: TraceSubject): void {
    this.flush();
    this.write(subjectChunk(subject));
  }

  /** Write what there is, as a chunk that may be short. */
  flush(): void {
    if (this.at === chunkHeaderSize) return;
    // Chunks are multiples of 32 bytes: the end of one is found wherever the next begins.
    if (this.at % chunkGrain !== 0) {
      this.bytes.fill(0, this.at, this.at + shortRecordSize);
      this.words[(this.at >>> 2) + Word.kind] = paddingKind | shortBit;
      this.at += shortRecordSize;
    }
    this.write(finishChunk(this.bytes.subarray(0, this.at), ChunkType.events, this.sequence++));
    this.at = chunkHeaderSize;
    this.texts.clear();
    this.lastText = '';
  }

  private numberOf(text: string): number {
    const number = this.texts.get(text) ?? this.define(text);
    this.lastText = text;
    this.lastNumber = number;
    return number;
  }

  /** The text's number, from 1: its definition goes ahead of the record that uses it, into the same chunk. */
  private define(text: string): number {
    // A text's bytes and the two records around them.
    if (this.at + maxTextSize + 2 * recordSize > this.chunkSize) this.flush();
    const { words, at } = this;
    const body = at + recordSize;
    const { written } = this.encoder.encodeInto(text, this.bytes.subarray(body, body + maxTextSize));
    const end = body + Math.ceil(written / shortRecordSize) * shortRecordSize;
    this.bytes.fill(0, body + written, end);
    this.bytes.fill(0, at, body);
    const number = this.texts.size + 1;
    words[(at >>> 2) + Word.kind] = textKind;
    words[(at >>> 2) + Word.call] = number;
    words[(at >>> 2) + Word.a] = written;
    this.at = end;
    this.texts.set(text, number);
    return number;
  }
}

/** What the trace is of, as a chunk: JSON, filled up with spaces. */
export function subjectChunk(subject: TraceSubject): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(subject));
  const size = Math.ceil(json.length / chunkGrain) * chunkGrain;
  const chunk = new Uint8Array(chunkHeaderSize + size).fill(0x20, chunkHeaderSize);
  chunk.set(json, chunkHeaderSize);
  return finishChunk(chunk, ChunkType.subject, 0);
}

function finishChunk(chunk: Uint8Array, type: number, sequence: number): Uint8Array {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length);
  view.setUint32(ChunkField.magic, chunkMagic, true);
  view.setUint32(ChunkField.type, type, true);
  view.setUint32(ChunkField.payloadSize, chunk.length - chunkHeaderSize, true);
  view.setUint32(ChunkField.sequence, sequence, true);
  view.setUint32(ChunkField.checksum, chunkChecksum(view, 0, chunk.length), true);
  return chunk;
}
