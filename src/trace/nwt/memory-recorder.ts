import { type OptionNames, requireAmount, requireKnownOptions } from '../../known-options.js';
import type { TraceSubject } from '../event.js';
import { ChunkWriter, subjectChunk } from './chunk-writer.js';
import { fileHeader } from './nwt-format.js';

export interface MemoryRecorderOptions {
  /** Largest size of the trace; the oldest events are dropped. Bytes, 32 per event; 16 MiB when left out. */
  readonly maxBytes?: number;
}

const names: OptionNames<MemoryRecorderOptions> = { maxBytes: true };

/** Chosen so that a chunk stays in the first-level cache while it is filled. Bytes. */
const chunkSize = 16 * 1024;

/** Keeps the end of a trace in memory. */
export class MemoryRecorder extends ChunkWriter {
  private readonly chunks: Uint8Array[] = [];
  private size = 0;
  private subject: TraceSubject = {};
  private readonly maxBytes: number;

  /** @throws TypeError or RangeError naming an option that is none. */
  constructor(options: MemoryRecorderOptions = {}) {
    super(chunkSize);
    requireKnownOptions('MemoryRecorder', options, names);
    this.maxBytes = options.maxBytes ?? 16 * 1024 * 1024;
    requireAmount('MemoryRecorder', 'maxBytes', this.maxBytes);
  }

  override describe(subject: TraceSubject): void {
    this.subject = subject;
  }

  /** The kept events as a `.nwt` file. */
  toBytes(): Uint8Array {
    this.flush();
    const parts = [fileHeader(), subjectChunk(this.subject), ...this.chunks];
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  protected override write(chunk: Uint8Array): void {
    this.size += chunk.length;
    let room: Uint8Array | undefined;
    while (this.size > this.maxBytes && this.chunks.length > 0) {
      room = this.chunks.shift();
      this.size -= room?.length ?? 0;
    }
    // Reuse the memory of the oldest chunk: new pages cost more than the copy.
    if (room?.length !== chunk.length) room = new Uint8Array(chunk.length);
    room.set(chunk);
    this.chunks.push(room);
  }
}
