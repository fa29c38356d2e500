import type { ParamDirection } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { carryDifferences, type Side } from './carry-differences.js';
import { equalBytes } from './equal-bytes.js';

/**
 * A range of the client's memory that one call shares: a temporary buffer, or several overlapping ones of one call.
 * They are one block for secure world, too, so a TA reads through one buffer what it wrote through the other.
 */
export class TemporaryBlock {
  readonly memory: ArrayBufferLike;
  private start: number;
  private end: number;
  private reads: boolean;
  private inout: boolean;
  private acquired: TeeShm | undefined;
  /** A copy of the data that was sent, if only differences are to be copied back. */
  private sent: Uint8Array | undefined;

  constructor(direction: ParamDirection, buffer: Uint8Array) {
    this.memory = buffer.buffer;
    this.start = buffer.byteOffset;
    this.end = buffer.byteOffset + buffer.length;
    this.reads = direction !== 'output';
    this.inout = direction === 'inout';
  }

  /** Bytes. */
  get size(): number {
    return this.end - this.start;
  }

  /** Whether it has its shared memory. */
  get begun(): boolean {
    return this.acquired !== undefined;
  }

  get shm(): TeeShm {
    if (this.acquired === undefined) throw new Error('a temporary block without memory was used');
    return this.acquired;
  }

  overlaps(other: TemporaryBlock): boolean {
    return this.memory === other.memory && this.touches(other.start, other.end);
  }

  /** Whether the block contains bytes of this range of its ArrayBuffer. */
  touches(start: number, end: number): boolean {
    return this.start < end && start < this.end;
  }

  /** Extend this block to cover the other one. */
  take(other: TemporaryBlock): void {
    this.start = Math.min(this.start, other.start);
    this.end = Math.max(this.end, other.end);
    this.reads ||= other.reads;
    this.inout ||= other.inout;
  }

  /** Copy the client's bytes into the shared memory. */
  begin(shm: TeeShm): void {
    this.acquired = shm;
    if (!this.reads) return;
    shm.write(0, this.bytes);
  }

  /** Whether all of it is sent and copied back, so that copying back could overwrite the result of another call. */
  get carriesBack(): boolean {
    return this.inout;
  }

  /**
   * Another call in progress writes bytes of this block: copy back only differences. That call has not returned yet,
   * so the client's bytes still equal the data that was sent.
   */
  contest(): void {
    this.sent ??= this.bytes.slice();
  }

  private get bytes(): Uint8Array {
    return new Uint8Array(this.memory, this.start, this.size);
  }

  offsetOf(buffer: Uint8Array): number {
    return buffer.byteOffset - this.start;
  }

  /** Copy back what a TA wrote into a part of it. If another call shares the bytes, copy only what the TA changed. */
  carryOut(direction: ParamDirection, offset: number, written: Uint8Array): void {
    if (written.length === 0) return;
    if (direction === 'output' || this.sent === undefined) {
      this.shm.read(offset, written);
      return;
    }
    const { memory, start } = this;
    const at = (from: number, length: number) => new Uint8Array(memory, start + from, length);
    const client: Side = {
      read: (from, data) => data.set(at(from, data.length)),
      write: (to, data) => at(to, data.length).set(data),
      equals: (from, data) => equalBytes(at(from, data.length), data),
    };
    const shm: Side = {
      read: (from, data) => this.shm.read(from, data),
      write: (to, data) => this.shm.write(to, data),
      equals: (from, data) => this.shm.everyPiece(from, data, equalBytes),
    };
    carryDifferences(shm, this.sent, client, offset, written.length, memory instanceof ArrayBuffer);
  }
}

/** Merge blocks that overlap, directly or through others: they become one object in all their places. */
export function joinOverlapping(blocks: (TemporaryBlock | undefined)[]): void {
  for (let first = 0; first < blocks.length; first++) {
    for (let second = first + 1; second < blocks.length; second++) {
      const [one, other] = [blocks[first], blocks[second]];
      if (one === undefined || other === undefined || one === other || !one.overlaps(other)) continue;
      one.take(other);
      for (let index = 0; index < blocks.length; index++) if (blocks[index] === other) blocks[index] = one;
      // The merged block may overlap blocks that were compared before.
      first = -1;
      break;
    }
  }
}
