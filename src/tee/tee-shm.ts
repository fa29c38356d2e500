import type { PhysicalAddress, PhysicalMemory } from '../protocol/physical-memory.js';
import { pageSize } from '../protocol/physical-memory.js';

/** How secure world identifies a shared-memory object. */
export type ShmKind =
  /** In the memory that secure world reserved: identified by its address. */
  | 'reserved'
  /** Registered with secure world as a list of pages: identified by its cookie. */
  | 'registered'
  /** Not registered: passed to secure world in at most one message (Linux's TEE_SHM_PRIV, and supplicant memory). */
  | 'private';

/**
 * Memory that both worlds can access: Linux's `struct tee_shm`. Reference-counted: it returns to its pool when the last
 * reference is dropped.
 */
export class TeeShm {
  private references = 1;
  /** Secure world's id of the memory: its cookie, or over FF-A the global handle. Linux's `sec_world_id`. */
  secureWorldId: number;

  /**
   * @param id its cookie; unique in one driver, never 0.
   * @param size bytes.
   * @param pages physical addresses of its 4 KiB pages, in order; undefined for reserved memory, which is contiguous.
   * @param address physical address of its first byte.
   * @param contiguous whether all of it is contiguous from `address` on.
   * @param onRelease releases the memory; called once.
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

  /** Whether all references, of the owner and of calls, have been dropped. */
  get released(): boolean {
    return this.references === 0;
  }

  /** Whether only the owner has a reference: no call uses it. */
  get unshared(): boolean {
    return this.references === 1;
  }

  get(): this {
    if (this.references === 0) throw new Error(`shared memory ${this.id} is already released`);
    this.references++;
    return this;
  }

  /** Drop a reference. The last one releases the memory; unregistering may make the result a promise. */
  put(): void | Promise<void> {
    if (this.references === 0) throw new Error(`shared memory ${this.id} is already released`);
    this.references--;
    if (this.references === 0) return this.onRelease(this);
  }

  /** A view of its bytes. @throws Error if the memory is not contiguous. */
  get bytes(): Uint8Array {
    if (!this.contiguous) throw new Error(`shared memory ${this.id} is not contiguous`);
    return this.memory.window(this.address, this.size);
  }

  /** Copy `data` into it at `offset`, piece by piece where it is not contiguous. */
  write(offset: number, data: Uint8Array): void {
    this.eachPiece(offset, data.length, (piece, done) => piece.set(data.subarray(done, done + piece.length)));
  }

  /** Copy from it at `offset` into `data`. */
  read(offset: number, data: Uint8Array): void {
    this.eachPiece(offset, data.length, (piece, done) => data.set(piece, done));
  }

  /** Whether `holds` returns true for each contiguous piece from `offset` on and the same piece of `data`. */
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
      // Adjacent pages form one piece.
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
