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

/** A place of a trace file that could not be read. */
export interface TraceDamage {
  /** Bytes from the beginning of the file. */
  readonly offset: number;
  readonly what: string;
}

/** Places of damage that are told one by one; the others are counted. */
const damageTold = 100;
/** A file in whose first bytes no chunk is to be found is no trace. Bytes: those of 16 of the largest chunks. */
const firstChunkWithin = 16 * maxChunkPayload;
/**
 * What looks like a chunk's header and is none may be summed up as a chunk, in vain: so many bytes, and eight times what
 * was read. Behind that the bytes of such a chunk are passed over, so that the time to read a file grows as the file does.
 */
const sumsInVain = 32 * maxChunkPayload;

/** The file is no trace, or one of a version that this reader does not know. */
export class TraceFormatError extends Error {
  override readonly name = 'TraceFormatError';
  readonly code = 'TRACE_FORMAT';
}

/**
 * Reads a `.nwt` file piece by piece, as the pieces come, and gives its records to a recorder. What is damaged is left
 * out and told: a chunk whose checksum is wrong does not take the others along.
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
  /** Bytes of would-be chunks whose checksum was wrong. */
  private summedInVain = 0;
  /** The last time, milliseconds: times ascend. */
  private time = -largestTimeMs;
  private untold = 0;
  private readonly decoder = new TextDecoder();

  constructor(private readonly recorder: TraceRecorder) {}

  /** The next bytes of the file. @throws TraceFormatError when it is no trace. */
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

  /** The file is over: what is still pending is a torn end. @throws TraceFormatError when it is no trace. */
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
        // Chunks begin at multiples of 32: look for the next one.
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

  /** The next place from `at` on where a chunk may begin: most of what is lost is passed over at the speed of a search. */
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
      // The beginning may be missing: a recorder in memory keeps only the end.
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

  /** Give a record on, with no number in it that none can be. */
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
