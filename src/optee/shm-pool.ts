import type { MemoryRange, PhysicalMemory } from '../protocol/physical-memory.js';
import { pageSize } from '../protocol/physical-memory.js';
import { TeeResult } from '../protocol/tee-result.js';
import { RangeAllocator } from '../tee/range-allocator.js';
import { TeeShm } from '../tee/tee-shm.js';
import { commsError } from '../tee/teec-error.js';

/** Allocations from reserved memory start at multiples of this (Linux's OPTEE_MIN_STATIC_POOL_ALIGN, 2^9 bytes). */
const reservedGranule = 512;

/** Cookies start here, so that a world that drops the upper half of one is found out at once. */
const firstCookie = 0x1_0000_0001;
/** The next cookie in a world's memory: a driver that comes after another must not take a cookie of the dead one's for its own. */
const nextCookies = new WeakMap<PhysicalMemory, number>();

/**
 * All shared memory of one driver: taken from any RAM when secure world knows dynamic shared memory, otherwise from the
 * range that it reserved. Every object has a cookie, and only objects that exist are found by it.
 */
export class ShmPool {
  private readonly allocator: RangeAllocator;
  private readonly byCookie = new Map<number, TeeShm>();

  /** @param dynamic whether the ranges are the normal world's own RAM rather than secure world's reserved memory. */
  constructor(
    private readonly memory: PhysicalMemory,
    readonly dynamic: boolean,
    ranges: readonly MemoryRange[],
  ) {
    this.allocator = new RangeAllocator(ranges, dynamic ? pageSize : reservedGranule);
  }

  /** Bytes of physical memory in use; 0 when everything has been given back. */
  get bytesInUse(): number {
    return this.allocator.bytesInUse;
  }

  /** Physical address and bytes of each piece in use, in order of their addresses. */
  get placesInUse(): readonly (readonly [number, number])[] {
    return this.allocator.inUse;
  }

  /** The shared memory with this cookie, if it exists. */
  find(cookie: number): TeeShm | undefined {
    return this.byCookie.get(cookie);
  }

  /**
   * Contiguous memory that secure world is not told about beforehand.
   * @throws TeecError OUT_OF_MEMORY
   */
  allocate(size: number): TeeShm {
    return this.create(this.dynamic ? 'private' : 'reserved', size, this.contiguous(size), undefined);
  }

  /**
   * Contiguous memory that the caller is about to register with secure world.
   * @param unregister tells secure world to forget it; called before the memory is used for anything else.
   * @throws TeecError OUT_OF_MEMORY
   */
  allocateToRegister(size: number, unregister: (shm: TeeShm) => Promise<void>): TeeShm {
    return this.create('registered', size, this.contiguous(size), unregister);
  }

  /** The same in single pages, wherever they are. @throws TeecError OUT_OF_MEMORY */
  scatteredToRegister(size: number, unregister: (shm: TeeShm) => Promise<void>): TeeShm {
    const pages = this.allocator.allocateScattered(Math.max(1, Math.ceil(size / pageSize)));
    if (pages === undefined) throw this.outOfMemory(size);
    return this.create('registered', size, pages, unregister);
  }

  private contiguous(size: number): number[] {
    const base = this.allocator.allocate(size);
    if (base === undefined) throw this.outOfMemory(size);
    return [base];
  }

  /** @param blocks what the allocator gave: one contiguous block, or single pages. */
  private create(
    kind: TeeShm['kind'],
    size: number,
    blocks: readonly number[],
    unregister: ((shm: TeeShm) => Promise<void>) | undefined,
  ): TeeShm {
    const base = blocks[0] ?? Number.NaN;
    let pages: readonly number[] | undefined;
    if (kind !== 'reserved') {
      const count = Math.max(1, Math.ceil(size / pageSize));
      pages = blocks.length === count ? blocks : Array.from({ length: count }, (_, page) => base + page * pageSize);
    }
    const contiguous = blocks.length === 1;
    // What another client, or secure world, left there is nobody else's business.
    const blockSize = contiguous ? size : pageSize;
    for (const block of blocks) this.memory.window(block, blockSize).fill(0);
    const giveBack = (shm: TeeShm) => {
      this.byCookie.delete(shm.id);
      for (const block of blocks) this.allocator.release(block);
    };
    const onRelease =
      unregister === undefined
        ? giveBack
        : async (shm: TeeShm) => {
            await unregister(shm);
            giveBack(shm);
          };
    const shm = new TeeShm(this.newCookie(), kind, size, base, pages, contiguous, this.memory, onRelease);
    this.byCookie.set(shm.id, shm);
    return shm;
  }

  private newCookie(): number {
    const cookie = nextCookies.get(this.memory) ?? firstCookie;
    nextCookies.set(this.memory, cookie + 1);
    return cookie;
  }

  private outOfMemory(size: number) {
    return commsError(
      TeeResult.ERROR_OUT_OF_MEMORY,
      `allocating ${size} bytes of ${this.dynamic ? 'dynamic' : 'reserved'} shared memory, ` +
        `${this.allocator.capacity - this.allocator.bytesInUse} of ${this.allocator.capacity} bytes free`,
    );
  }
}
