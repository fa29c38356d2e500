import type { PhysicalAddress } from '../../../protocol/physical-memory.js';
import { pageSize } from '../../../protocol/physical-memory.js';
import type { NonSecureMemory } from './non-secure-memory.js';

/**
 * A memory object: normal-world memory that secure world has mapped, contiguous or in pages. Source: core/mm/mobj.c and
 * mobj_dyn_shm.c of OP-TEE/optee_os.
 */
export class Mobj {
  /** References: one of the registration itself, and one of every call that uses it. */
  references = 1;
  /** The normal world cannot release the registration, because it belongs to a call or to an RPC. */
  guarded = true;
  /** The normal world has requested its release; calls may still use it. */
  releasing = false;

  /**
   * @param pages the page addresses of registered memory; only the first one if `contiguous`.
   * @param pageOffset its offset in the first page, in bytes.
   * @param size in bytes.
   * @param cookie the normal world's id of it; 0 if it has none.
   * @param kind `reserved` for memory in the reserved shared memory: an RPC refers to it by address, not by cookie.
   */
  private constructor(
    private readonly memory: NonSecureMemory,
    private readonly pages: readonly PhysicalAddress[],
    private readonly contiguous: boolean,
    private readonly pageOffset: number,
    readonly size: number,
    readonly cookie: number,
    readonly kind: 'reserved' | 'registered',
  ) {}

  /** mobj_shm_alloc(): memory in the reserved area. Undefined if it is not inside. */
  static reserved(memory: NonSecureMemory, address: PhysicalAddress, size: number, cookie: number): Mobj | undefined {
    if (!memory.isReservedShm(address, Math.max(size, 1))) return undefined;
    return new Mobj(memory, [address], true, 0, size, cookie, 'reserved');
  }

  /** mobj_reg_shm_alloc(): memory in pages. Undefined if a page is not aligned or not non-secure memory. */
  static registered(
    memory: NonSecureMemory,
    pages: readonly PhysicalAddress[],
    pageOffset: number,
    cookie: number,
  ): Mobj | undefined {
    if (pages.length === 0 || pageOffset >= pageSize) return undefined;
    if (!pages.every((page) => page % pageSize === 0 && memory.isNonSecure(page, pageSize))) return undefined;
    const contiguous = pages.every((page, index) => page === (pages[0] ?? 0) + index * pageSize);
    return new Mobj(memory, pages, contiguous, pageOffset, pages.length * pageSize - pageOffset, cookie, 'registered');
  }

  /** mobj_check_offset_and_len(): whether the range is inside. */
  covers(offset: number, length: number): boolean {
    return offset >= 0 && length >= 0 && offset + length <= this.size;
  }

  /** mobj_get_pa(). Undefined if the offset is outside. */
  addressOf(offset: number): PhysicalAddress | undefined {
    if (!(offset >= 0 && offset < this.size)) return undefined;
    const full = offset + this.pageOffset;
    if (this.contiguous) return (this.pages[0] ?? 0) + full;
    const page = this.pages[Math.floor(full / pageSize)];
    return page === undefined ? undefined : page + (full % pageSize);
  }

  /** Whether the range is inside and physically contiguous. */
  contiguousAt(offset: number, length: number): boolean {
    return this.contiguous ? this.covers(offset, length) : this.windows(offset, length)?.length === 1;
  }

  /** A view of the range; undefined if it is not inside, or not physically contiguous. */
  window(offset: number, length: number): Uint8Array | undefined {
    if (this.contiguous) return this.covers(offset, length) ? this.at(offset, length) : undefined;
    const windows = this.windows(offset, length);
    return windows?.length === 1 ? windows[0] : undefined;
  }

  private at(offset: number, length: number): Uint8Array {
    return this.memory.window((this.pages[0] ?? 0) + this.pageOffset + offset, length);
  }

  /** A copy of the range, which must be inside. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const window of this.windows(offset, length) ?? []) {
      bytes.set(window, at);
      at += window.length;
    }
    return bytes;
  }

  /** Write to the range, which must be inside. */
  write(bytes: Uint8Array, offset = 0): void {
    let at = 0;
    for (const window of this.windows(offset, bytes.length) ?? []) {
      window.set(bytes.subarray(at, at + window.length));
      at += window.length;
    }
  }

  /** Views of the contiguous pieces of the range, in order. Undefined if it is not inside. */
  windows(offset: number, length: number): Uint8Array[] | undefined {
    if (!this.covers(offset, length)) return undefined;
    if (this.contiguous) return [this.at(offset, length)];
    const windows: Uint8Array[] = [];
    let full = offset + this.pageOffset;
    const end = full + length;
    while (full < end) {
      let index = Math.floor(full / pageSize);
      const first = this.pages[index] ?? 0;
      const from = full;
      do full = Math.min(end, ++index * pageSize);
      while (full < end && this.pages[index] === (this.pages[index - 1] ?? 0) + pageSize);
      windows.push(this.memory.window(first + (from % pageSize), full - from));
    }
    return windows;
  }
}

/**
 * The shared memory that secure world knows by cookie: the list of mobj_dyn_shm.c. If a cookie is registered twice, it
 * names the newest registration, as in OP-TEE.
 */
export class RegisteredShm {
  private readonly byCookie = new Map<number, Mobj[]>();

  add(mobj: Mobj): void {
    const same = this.byCookie.get(mobj.cookie);
    if (same === undefined) this.byCookie.set(mobj.cookie, [mobj]);
    else same.push(mobj);
  }

  remove(mobj: Mobj): void {
    const rest = this.byCookie.get(mobj.cookie)?.filter((other) => other !== mobj) ?? [];
    if (rest.length === 0) this.byCookie.delete(mobj.cookie);
    else this.byCookie.set(mobj.cookie, rest);
  }

  /** The newest object with that cookie. Takes no reference. */
  find(cookie: number): Mobj | undefined {
    return this.byCookie.get(cookie)?.at(-1);
  }

  /** The number of objects. */
  get size(): number {
    let count = 0;
    for (const same of this.byCookie.values()) count += same.length;
    return count;
  }
}
