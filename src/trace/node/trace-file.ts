import { closeSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { startInterval } from '../../clock/timer.js';
import { nameFileInErrors } from '../../files/name-file-in-errors.js';
import { openForWriting } from '../../files/open-for-writing.js';
import { type OptionNames, requireAmount, requireKnownOptions } from '../../known-options.js';
import type { TraceSubject } from '../event.js';
import { ChunkWriter, subjectChunk } from '../nwt/chunk-writer.js';
import { fileHeader } from '../nwt/nwt-format.js';
import { TraceReader } from '../nwt/trace-reader.js';
import { TraceTable } from '../nwt/trace-table.js';

export interface TraceFileOptions {
  /**
   * Interval of writing to the file, in milliseconds: the most that a killed process loses, and the delay for readers
   * of a running program. 100 when left out.
   */
  readonly flushIntervalMs?: number;
  /** Recording stops before the file becomes larger than this, and the file says so. Bytes; 4 GiB when left out. */
  readonly maxBytes?: number;
}

const names: OptionNames<TraceFileOptions> = { flushIntervalMs: true, maxBytes: true };

/** Size of a chunk, in bytes: writing it costs as much as copying it. */
const chunkSize = 64 * 1024;

/**
 * Records into a `.nwt` file. Chunks are written when they are full and at an interval, so memory stays bounded, and
 * the file remains readable if the process dies.
 */
export class TraceFile extends ChunkWriter implements Disposable {
  private readonly fd: number;
  private readonly maxBytes: number;
  private readonly endFlushing: () => void;
  private subject: TraceSubject = {};
  private size = 0;
  private full = false;
  private closed = false;
  private writeError: Error | undefined;
  private readonly onExit = () => this.close();

  /** @throws the file system's error if the file cannot be written; TypeError naming an invalid option. */
  constructor(
    readonly path: string,
    options: TraceFileOptions = {},
  ) {
    super(chunkSize);
    requireKnownOptions('TraceFile', options, names);
    const { maxBytes = 4 * 2 ** 30, flushIntervalMs = 100 } = options;
    requireAmount('TraceFile', 'maxBytes', maxBytes);
    requireAmount('TraceFile', 'flushIntervalMs', flushIntervalMs);
    this.maxBytes = maxBytes;
    this.fd = openForWriting(path);
    this.append(fileHeader());
    this.endFlushing = startInterval(flushIntervalMs, () => this.flush(), { background: true });
    process.on('exit', this.onExit);
  }

  /** Write the remaining events and close the file. Later events are not recorded. */
  close(): void {
    if (this.closed) return;
    this.endFlushing();
    process.off('exit', this.onExit);
    this.flush();
    this.closed = true;
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  override describe(subject: TraceSubject): void {
    this.subject = subject;
    super.describe(subject);
  }

  protected override write(chunk: Uint8Array): void {
    if (this.closed || this.full) return;
    if (this.size + chunk.length <= this.maxBytes) {
      this.append(chunk);
      return;
    }
    this.full = true;
    this.append(subjectChunk({ ...this.subject, cutAtBytes: this.maxBytes }));
  }

  /** Why recording stopped early, for example because the disk is full. The traced program continues. */
  get failure(): Error | undefined {
    return this.writeError;
  }

  private append(chunk: Uint8Array): void {
    if (this.writeError !== undefined) return;
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(this.fd, chunk, at);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.writeError = error;
      process.emitWarning(`the trace ${this.path} ends here: ${error.message}`, 'NormalworldWarning');
      return;
    }
    this.size += chunk.length;
  }
}

/** Bytes read at once. */
const pieceSize = 1 << 20;

/**
 * Read a `.nwt` file of any size, piece by piece.
 * @throws TraceFormatError if it is not a trace, or has more events than memory can hold; the file system's error if it
 * cannot be read.
 */
export async function readTraceFile(path: string): Promise<TraceTable> {
  const table = new TraceTable();
  const reader = new TraceReader(table);
  const file = await open(path, 'r');
  try {
    const piece = new Uint8Array(pieceSize);
    for (;;) {
      const { bytesRead } = await nameFileInErrors(path, () => file.read(piece, 0, pieceSize, null));
      if (bytesRead === 0) break;
      reader.push(piece.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
  reader.end();
  table.damage = reader.damage;
  return table;
}
