import { carryDifferences, type Side } from '../client/carry-differences.js';
import { equalBytes } from '../client/equal-bytes.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { type Change, FrameError } from './frames.js';

/**
 * One of two copies of shared memory, at the two ends of a connection. Each side sends only the bytes that it changed
 * since both were equal, so that a change is not overwritten by old data of the other side.
 */
export class MemoryCopy {
  /** The content that both sides last agreed on, as far as this side knows; initially zeros. */
  private readonly agreed: Uint8Array;
  private readonly here: Side;
  /** Changes that were sent and may not have arrived: number of the frame, begin and end. */
  private told: { readonly number: number; readonly begin: number; readonly end: number }[] = [];

  constructor(
    private readonly id: number,
    private readonly shm: TeeShm,
  ) {
    this.agreed = new Uint8Array(shm.size);
    this.here = {
      read: (offset, data) => shm.read(offset, data),
      write: (offset, data) => shm.write(offset, data),
      equals: (offset, data) => shm.everyPiece(offset, data, equalBytes),
    };
  }

  /**
   * The changes on this side in a range; they then count as known to the other side.
   * @param number number of the frame that carries the changes; undefined if changes of the other side need not be
   * merged with them.
   */
  changes(offset: number, size: number, number?: number): Change[] {
    const end = Math.min(this.shm.size, offset + size);
    const changes: Change[] = [];
    const there: Side = {
      read: () => undefined,
      write: (at, data) => void changes.push({ memory: this.id, offset: at, bytes: Uint8Array.from(data) }),
      equals: () => false,
    };
    if (offset < end) carryDifferences(this.here, this.agreed, there, offset, end - offset, false);
    if (number !== undefined)
      for (const { offset: begin, bytes } of changes) this.told.push({ number, begin, end: begin + bytes.length });
    return changes;
  }

  /**
   * Apply changes of the other side. Bytes that were sent to it and that it had not read yet are kept, because they are
   * newer.
   * @param read number of the last frame that the other side had read.
   * @throws FrameError if the change is outside the memory.
   */
  take({ offset, bytes }: Change, read: number): void {
    const end = offset + bytes.length;
    if (end > this.shm.size)
      throw new FrameError(
        `a change of ${bytes.length} bytes at offset ${offset} in shared memory of ${this.shm.size} bytes`,
      );
    this.told = this.told.filter(({ number }) => number > read);
    let at = offset;
    const later = this.told.filter((each) => each.begin < end && each.end > offset).sort((a, b) => a.begin - b.begin);
    for (const each of [...later, { begin: end, end }]) {
      if (each.begin > at) {
        const piece = bytes.subarray(at - offset, each.begin - offset);
        this.agreed.set(piece, at);
        this.shm.write(at, piece);
      }
      at = Math.max(at, each.end);
    }
  }
}
