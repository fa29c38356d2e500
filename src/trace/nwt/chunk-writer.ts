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

/** Word indices in a record, for 32-bit and 64-bit views. */
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
 * Writes records into the chunks of a `.nwt` file, in one reused buffer. It writes native words, which costs half as
 * much as a DataView; the format is little-endian.
 */
export abstract class ChunkWriter implements TraceRecorder {
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly words: Uint32Array;
  private readonly doubles: Float64Array;
  private readonly encoder = new TextEncoder();
  /** Numbers of the texts defined in this chunk. */
  private readonly texts = new Map<string, number>();
  /** The last text and its number, because most records have the same text as the previous one. */
  private lastText = '';
  private lastNumber = 0;
  private at = chunkHeaderSize;
  private sequence = 0;

  /**
   * @param chunkSize size of a full chunk with its header, in bytes: a multiple of 32, with room for at least one text.
   */
  constructor(private readonly chunkSize: number) {
    this.bytes = new Uint8Array(chunkSize);
    this.words = new Uint32Array(this.bytes.buffer);
    this.doubles = new Float64Array(this.bytes.buffer);
    this.words[0] = chunkMagic;
    if (this.bytes[0] !== (chunkMagic & 0xff)) throw new Error('traces are recorded on little-endian processors only');
  }

  /** Write a finished chunk. Its bytes are overwritten after the return. */
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

  /** Write the pending records as a chunk, which may be short. */
  flush(): void {
    if (this.at === chunkHeaderSize) return;
    // Pad the chunk to a multiple of 32 bytes, so that a reader finds the next one.
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

  /** The number of a text, from 1. Its definition is written into the same chunk before the record that uses it. */
  private define(text: string): number {
    // Room for the text's bytes and two records.
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

/** The subject of the trace as a chunk: JSON, padded with spaces. */
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
