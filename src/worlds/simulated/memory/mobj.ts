import type { PhysicalAddress } from '../../../protocol/physical-memory.js';
import { pageSize } from '../../../protocol/physical-memory.js';
import type { NonSecureMemory } from './non-secure-memory.js';

/**
 * A memory object: normal-world memory as secure world has it mapped, contiguous or in pages.
 * Source: core/mm/mobj.c and mobj_dyn_shm.c of OP-TEE/optee_os.
 */
export class Mobj {
  /** How many hold it: the registration itself and every call that uses it. */
  references = 1;
  /** A registration that the normal world cannot release: it belongs to a call or to an RPC. */
  guarded = true;
  /** The normal world asked to release it; calls may still use it. */
  releasing = false;

  /**
   * @param pages the page addresses of registered memory; the first alone when `contiguous`.
   * @param pageOffset where in the first page it begins.
   * @param size in bytes.
   * @param cookie by which the normal world knows it; 0 when it has none.
   * @param kind `reserved` when it lies in the reserved shared memory: an RPC refers to it by address, not by cookie.
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

  /** Memory in the reserved area: mobj_shm_alloc(). Nothing when it does not lie there. */
  static reserved(memory: NonSecureMemory, address: PhysicalAddress, size: number, cookie: number): Mobj | undefined {
    if (!memory.isReservedShm(address, Math.max(size, 1))) return undefined;
    return new Mobj(memory, [address], true, 0, size, cookie, 'reserved');
  }

  /** Memory in pages: mobj_reg_shm_alloc(). Nothing when a page is not aligned or not non-secure memory. */
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

  /** mobj_check_offset_and_len(). */
  covers(offset: number, length: number): boolean {
    return offset >= 0 && length >= 0 && offset + length <= this.size;
  }

  /** mobj_get_pa(). Nothing when the offset is outside. */
  addressOf(offset: number): PhysicalAddress | undefined {
    if (!(offset >= 0 && offset < this.size)) return undefined;
    const full = offset + this.pageOffset;
    if (this.contiguous) return (this.pages[0] ?? 0) + full;
    const page = this.pages[Math.floor(full / pageSize)];
    return page === undefined ? undefined : page + (full % pageSize);
  }

  /** Covered and physically contiguous. */
  contiguousAt(offset: number, length: number): boolean {
    return this.contiguous ? this.covers(offset, length) : this.windows(offset, length)?.length === 1;
  }

  /** The memory, live, when it is covered and physically contiguous. */
  window(offset: number, length: number): Uint8Array | undefined {
    if (this.contiguous) return this.covers(offset, length) ? this.at(offset, length) : undefined;
    const windows = this.windows(offset, length);
    return windows?.length === 1 ? windows[0] : undefined;
  }

  private at(offset: number, length: number): Uint8Array {
    return this.memory.window((this.pages[0] ?? 0) + this.pageOffset + offset, length);
  }

  /** A copy of the memory, which must be covered. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const window of this.windows(offset, length) ?? []) {
      bytes.set(window, at);
      at += window.length;
    }
    return bytes;
  }

  /** Write into the memory, which must be covered. */
  write(bytes: Uint8Array, offset = 0): void {
    let at = 0;
    for (const window of this.windows(offset, bytes.length) ?? []) {
      window.set(bytes.subarray(at, at + window.length));
      at += window.length;
    }
  }

  /** The memory, live, as the contiguous stretches it consists of, in order. Nothing when it is not covered. */
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
 * The shared memory that secure world knows by cookie: the list of mobj_dyn_shm.c. A cookie that is registered twice
 * names the newest registration, as there.
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

  /** The newest object of that cookie, without a reference to it. */
  find(cookie: number): Mobj | undefined {
    return this.byCookie.get(cookie)?.at(-1);
  }

  /** How many objects there are. */
  get size(): number {
    let count = 0;
    for (const same of this.byCookie.values()) count += same.length;
    return count;
  }
}
