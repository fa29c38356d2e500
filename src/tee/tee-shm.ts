import type { PhysicalAddress, PhysicalMemory } from '../protocol/physical-memory.js';
import { pageSize } from '../protocol/physical-memory.js';

/** How secure world gets to know of a shared-memory object. */
export type ShmKind =
  /** In the memory that secure world reserved: named by its address. */
  | 'reserved'
  /** Registered with secure world as a list of pages: named by its cookie. */
  | 'registered'
  /** Not registered: told to secure world, when at all, in one message (Linux's TEE_SHM_PRIV, and supplicant memory). */
  | 'private';

/**
 * A piece of memory that both worlds can reach: Linux's `struct tee_shm`. Counted: it goes back to its pool when the
 * last reference is put, however many calls use it at that moment.
 */
export class TeeShm {
  private references = 1;
  /** Under which secure world knows it: its cookie, or over FF-A the global handle. Linux's `sec_world_id`. */
  secureWorldId: number;

  /**
   * @param id its cookie; unique in one driver, never 0.
   * @param size bytes.
   * @param pages physical addresses of its 4 KiB pages, in order; undefined for reserved memory, which is contiguous.
   * @param address of its first byte.
   * @param contiguous whether the whole of it can be reached from `address`.
   * @param onRelease takes it back; called once.
   */
  constructor(
    readonly id: number,
    readonly kind: ShmKind,
    readonly size: number,
    readonly address: PhysicalAddress,
    readonly pages: readonly PhysicalAddress[] | undefined,
    readonly contiguous: boolean,
    private readonly memory: PhysicalMemory,
    private readonly onRelease: (shm: TeeShm) => void | Promise<void>,
  ) {
    this.secureWorldId = id;
  }

  /** Neither the owner nor any call holds it any more. */
  get released(): boolean {
    return this.references === 0;
  }

  /** Its owner alone holds it: no call uses it. */
  get unshared(): boolean {
    return this.references === 1;
  }

  get(): this {
    if (this.references === 0) throw new Error(`shared memory ${this.id} is already released`);
    this.references++;
    return this;
  }

  /** Drop a reference; the last one gives the memory back (and unregisters it: then the result is a promise). */
  put(): void | Promise<void> {
    if (this.references === 0) throw new Error(`shared memory ${this.id} is already released`);
    this.references--;
    if (this.references === 0) return this.onRelease(this);
  }

  /** Its bytes, live. Only contiguous memory has them in one piece. */
  get bytes(): Uint8Array {
    if (!this.contiguous) throw new Error(`shared memory ${this.id} is not contiguous`);
    return this.memory.window(this.address, this.size);
  }

  /** Copy `data` into it at `offset`, stretch by stretch where it is not contiguous. */
  write(offset: number, data: Uint8Array): void {
    this.eachPiece(offset, data.length, (piece, done) => piece.set(data.subarray(done, done + piece.length)));
  }

  /** Copy from it at `offset` into `data`. */
  read(offset: number, data: Uint8Array): void {
    this.eachPiece(offset, data.length, (piece, done) => data.set(piece, done));
  }

  /** Whether something holds of each stretch of it from `offset` on and the same stretch of `data`. */
  everyPiece(offset: number, data: Uint8Array, holds: (piece: Uint8Array, other: Uint8Array) => boolean): boolean {
    let all = true;
    this.eachPiece(offset, data.length, (piece, done) => {
      all &&= holds(piece, data.subarray(done, done + piece.length));
    });
    return all;
  }

  private eachPiece(offset: number, length: number, visit: (piece: Uint8Array, done: number) => void): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size))
      throw new RangeError(`offset ${offset}, ${length} bytes, is outside shared memory of ${this.size} bytes`);
    const { pages } = this;
    if (this.contiguous || pages === undefined) {
      visit(this.memory.window(this.address + offset, length), 0);
      return;
    }
    for (let done = 0; done < length; ) {
      const position = offset + done;
      let index = Math.floor(position / pageSize);
      const page = pages[index] ?? Number.NaN;
      const inPage = position % pageSize;
      // Pages that lie one behind the other are one stretch.
      let stretch = pageSize - inPage;
      while (done + stretch < length && pages[index + 1] === (pages[index] ?? Number.NaN) + pageSize) {
        stretch += pageSize;
        index++;
      }
      const piece = Math.min(stretch, length - done);
      visit(this.memory.window(page + inPage, piece), done);
      done += piece;
    }
  }
}
