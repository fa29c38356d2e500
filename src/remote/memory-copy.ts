import { carryDifferences, type Side } from '../client/carry-differences.js';
import { equalBytes } from '../client/equal-bytes.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { type Change, FrameError } from './frames.js';

/**
 * One side's end of shared memory that is there twice: here, and at the other end of a pipe. Each side tells the other what it
 * has changed since both had the same, and nothing else, so nothing that one wrote is undone by what the other left alone.
 */
export class MemoryCopy {
  /** What both sides last had in common, as far as this side knows: zeros in the beginning. */
  private readonly agreed: Uint8Array;
  private readonly here: Side;
  /** What was told and may not have arrived: the frame's number, where it begins and ends. */
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
   * What has changed here in a part of it; from now on the other side is taken to know.
   * @param number of the frame that it is told ahead of; undefined when what comes back need not be compared with it.
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
   * What has changed on the other side. What was told it meanwhile and it had not read comes after its own.
   * @param read number of the last frame that the other side had read.
   * @throws FrameError when it is outside.
   */
  take({ offset, bytes }: Change, read: number): void {
    const end = offset + bytes.length;
    if (end > this.shm.size)
      throw new FrameError(`a change of ${bytes.length} bytes at offset ${offset} in shared memory of ${this.shm.size} bytes`);
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
