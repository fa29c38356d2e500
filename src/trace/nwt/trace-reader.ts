import { largestTimeMs } from '../event.js';
import { EventKind, kindMask } from '../event-codec.js';
import type { TraceRecorder } from '../trace.js';
import { checkedRecord, checkedSubject } from './checked-record.js';
import {
  ChunkField,
  ChunkType,
  chunkChecksum,
  chunkGrain,
  chunkHeaderSize,
  chunkMagic,
  fileHeaderSize,
  fileMagic,
  maxChunkPayload,
  maxTextSize,
  nwtVersion,
  paddingKind,
  RecordField,
  recordSize,
  shortBit,
  shortRecordSize,
  textKind,
} from './nwt-format.js';

/** A damaged place in a trace file. */
export interface TraceDamage {
  /** Offset in the file, in bytes. */
  readonly offset: number;
  readonly what: string;
}

/** Number of damaged places that are reported one by one; further ones are counted. */
const damageTold = 100;
/** If there is no chunk in the first bytes, the file is not a trace. Bytes: 16 chunks of the largest size. */
const firstChunkWithin = 16 * maxChunkPayload;
/**
 * Limit for computing checksums of data that looks like a chunk but is not: this many bytes, plus eight times the bytes
 * read. After that, such data is skipped, so that the time to read a file is linear in its size.
 */
const sumsInVain = 32 * maxChunkPayload;

/** The file is not a trace, or has an unknown version. */
export class TraceFormatError extends Error {
  override readonly name = 'TraceFormatError';
  readonly code = 'TRACE_FORMAT';
}

/**
 * Reads a `.nwt` file in pieces as they arrive, and passes its records to a recorder. Damaged chunks are skipped and
 * reported; a chunk with a wrong checksum does not affect others.
 */
export class TraceReader {
  readonly damage: TraceDamage[] = [];
  private pending = new Uint8Array(0);
  /** Offset in the file of the first pending byte. */
  private offset = 0;
  private headerRead = false;
  private nextSequence: number | undefined;
  /** Where bytes that belong to no chunk began. */
  private lostSince: number | undefined;
  private chunkSeen = false;
  /** Number of bytes of supposed chunks with wrong checksums. */
  private summedInVain = 0;
  /** The last time, in milliseconds; times ascend. */
  private time = -largestTimeMs;
  private untold = 0;
  private readonly decoder = new TextDecoder();

  constructor(private readonly recorder: TraceRecorder) {}

  /** Process the next bytes of the file. @throws TraceFormatError if it is not a trace. */
  push(bytes: Uint8Array): void {
    if (this.pending.length === 0) this.pending = bytes.slice();
    else {
      const joined = new Uint8Array(this.pending.length + bytes.length);
      joined.set(this.pending);
      joined.set(bytes, this.pending.length);
      this.pending = joined;
    }
    this.read();
  }

  /** End of the file: pending bytes are a truncated chunk. @throws TraceFormatError if it is not a trace. */
  end(): void {
    if (!this.headerRead)
      throw new TraceFormatError(
        `not a trace: ${this.pending.length} bytes, the header of a .nwt file has ${fileHeaderSize}`,
      );
    if (this.lostSince !== undefined) this.reportLost(this.offset + this.pending.length);
    else if (this.pending.length > 0)
      this.report(
        this.offset,
        `the file ends in the middle of a chunk: ${this.pending.length} bytes of it are present`,
      );
    if (this.untold > 0)
      this.damage.push({
        offset: this.offset + this.pending.length,
        what: `${this.untold} more places are damaged`,
      });
    this.pending = new Uint8Array(0);
  }

  private report(offset: number, what: string): void {
    if (this.damage.length < damageTold) this.damage.push({ offset, what });
    else this.untold++;
  }

  private read(): void {
    if (!this.headerRead) {
      if (this.pending.length < fileHeaderSize) return;
      this.readHeader();
      this.headerRead = true;
    }
    const view = new DataView(this.pending.buffer, this.pending.byteOffset, this.pending.length);
    let at = this.firstOffset();
    while (at + chunkHeaderSize <= this.pending.length) {
      const size = this.chunkSizeAt(view, at);
      if (size !== undefined && at + size > this.pending.length) break;
      if (size === undefined || !this.isWhole(view, at, size)) {
        // Chunks begin at multiples of 32: search for the next one.
        this.lostSince ??= this.offset + at;
        this.summedInVain += size ?? 0;
        const spent = this.summedInVain > sumsInVain + 8 * (this.offset + at);
        at = spent && size !== undefined ? at + size : this.nextGrain(at + chunkGrain);
        if (!this.chunkSeen && this.offset + at > firstChunkWithin)
          throw new TraceFormatError(`not a trace: there is no chunk in the first ${firstChunkWithin} bytes`);
        continue;
      }
      this.chunkSeen = true;
      if (this.lostSince !== undefined) this.reportLost(this.offset + at);
      this.readChunk(view, at, size);
      at += size;
    }
    this.offset += at;
    this.pending = this.pending.subarray(at);
  }

  private firstOffset(): number {
    return this.offset === 0 ? fileHeaderSize : 0;
  }

  private readHeader(): void {
    if (fileMagic.some((byte, index) => this.pending[index] !== byte))
      throw new TraceFormatError('not a trace: the file does not begin like a .nwt file (89 4e 57 54 0d 0a 1a 0a)');
    const version = new DataView(this.pending.buffer, this.pending.byteOffset).getUint32(8, true);
    if (version !== nwtVersion)
      throw new TraceFormatError(`trace of version ${version}; this reader supports version ${nwtVersion}`);
  }

  private chunkSizeAt(view: DataView, at: number): number | undefined {
    if (view.getUint32(at + ChunkField.magic, true) !== chunkMagic) return undefined;
    const payload = view.getUint32(at + ChunkField.payloadSize, true);
    return payload > maxChunkPayload || payload % chunkGrain !== 0 ? undefined : chunkHeaderSize + payload;
  }

  /**
   * The next position from `at` where a chunk may begin. It is found by a fast search, because most positions are not a
   * beginning.
   */
  private nextGrain(at: number): number {
    const found = this.pending.indexOf(chunkMagic & 0xff, at);
    const end = this.pending.length - (this.pending.length % chunkGrain);
    return found < 0 ? Math.max(at, end) : found - (found % chunkGrain);
  }

  private isWhole(view: DataView, at: number, size: number): boolean {
    return view.getUint32(at + ChunkField.checksum, true) === chunkChecksum(view, at, size);
  }

  private reportLost(end: number): void {
    const offset = this.lostSince ?? end;
    this.report(offset, `${end - offset} bytes are not a chunk, or a chunk with a wrong checksum`);
    this.lostSince = undefined;
  }

  private readChunk(view: DataView, at: number, size: number): void {
    const sequence = view.getUint32(at + ChunkField.sequence, true);
    const type = view.getUint32(at + ChunkField.type, true);
    if (type === ChunkType.subject) this.readSubject(at, size);
    else if (type === ChunkType.events) {
      // The first chunks may be missing, because a recorder in memory keeps only the end.
      if (this.nextSequence !== undefined && sequence > this.nextSequence)
        this.report(this.offset + at, `${sequence - this.nextSequence} chunks are missing here`);
      this.nextSequence = sequence + 1;
      this.readEvents(view, at, size);
    }
  }

  private readSubject(at: number, size: number): void {
    const text = this.decoder.decode(this.pending.subarray(at + chunkHeaderSize, at + size));
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      this.report(this.offset + at, 'the description of the trace is not JSON');
      return;
    }
    this.recorder.describe(checkedSubject(json, (what) => this.report(this.offset + at, what)));
  }

  /** Pass on a record with checked numbers. */
  private give(at: number, kind: number, time: number, call: number, a: number, b: number, c: number, text: string) {
    if (time >= this.time && time <= largestTimeMs && (kind & kindMask) !== EventKind.worldExit) {
      this.time = time;
      this.recorder.record(kind, time, call, a, b, c, text);
      return;
    }
    const record = checkedRecord(kind, time, b, this.time, (what) => this.report(this.offset + at, what));
    this.time = record.time;
    this.recorder.record(kind, record.time, call, a, record.b, c, text);
  }

  private readEvents(view: DataView, chunk: number, size: number): void {
    const texts = new Map<number, string>();
    const end = chunk + size;
    for (let at = chunk + chunkHeaderSize; at < end; ) {
      const kind = view.getUint32(at + RecordField.kind, true);
      const call = view.getUint32(at + RecordField.call, true);
      const time = view.getFloat64(at + RecordField.time, true);
      if ((kind & shortBit) !== 0) {
        if ((kind & kindMask) !== paddingKind) this.give(at, kind & ~shortBit, time, call, 0, 0, 0, '');
        at += shortRecordSize;
        continue;
      }
      if (at + recordSize > end) {
        this.report(this.offset + at, 'a record does not fit its chunk');
        return;
      }
      const a = view.getUint32(at + RecordField.a, true);
      if (kind === textKind) {
        const body = at + recordSize;
        if (a > maxTextSize || body + a > end) {
          this.report(this.offset + at, `a text of ${a} bytes does not fit its chunk`);
          return;
        }
        texts.set(call, this.decoder.decode(this.pending.subarray(body, body + a)));
        at = body + Math.ceil(a / shortRecordSize) * shortRecordSize;
        continue;
      }
      const text = view.getUint32(at + RecordField.text, true);
      this.give(
        at,
        kind,
        time,
        call,
        a,
        view.getUint32(at + RecordField.b, true),
        view.getUint32(at + RecordField.c, true),
        text === 0 ? '' : (texts.get(text) ?? ''),
      );
      at += recordSize;
    }
  }
}
