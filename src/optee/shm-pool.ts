import type { MemoryRange, PhysicalMemory } from '../protocol/physical-memory.js';
import { pageSize } from '../protocol/physical-memory.js';
import { TeeResult } from '../protocol/tee-result.js';
import { RangeAllocator } from '../tee/range-allocator.js';
import { TeeShm } from '../tee/tee-shm.js';
import { commsError } from '../tee/teec-error.js';

/** Alignment of allocations in reserved memory (Linux's OPTEE_MIN_STATIC_POOL_ALIGN, 2^9 bytes). */
const reservedGranule = 512;

/** Cookies begin above 32 bits, so that a world that truncates them is detected. */
const firstCookie = 0x1_0000_0001;
/** The next cookie by memory, so that a later driver does not reuse the cookies of an earlier one. */
const nextCookies = new WeakMap<PhysicalMemory, number>();

/**
 * All shared memory of one driver. It is allocated from normal RAM if secure world supports dynamic shared memory,
 * otherwise from the reserved range. Every object has a cookie, by which only existing objects are found.
 */
export class ShmPool {
  private readonly allocator: RangeAllocator;
  private readonly byCookie = new Map<number, TeeShm>();
  /** Gives back memory that secure world may still write, because it refused to unregister it. */
  private readonly withheld: (() => void)[] = [];

  /** @param dynamic whether the ranges are normal RAM and not secure world's reserved memory. */
  constructor(
    private readonly memory: PhysicalMemory,
    readonly dynamic: boolean,
    ranges: readonly MemoryRange[],
  ) {
    this.allocator = new RangeAllocator(ranges, dynamic ? pageSize : reservedGranule);
  }

  /** Physical memory in use, in bytes; 0 after everything was freed. */
  get bytesInUse(): number {
    return this.allocator.bytesInUse;
  }

  /** Physical address and size of each piece in use, in order of addresses. */
  get placesInUse(): readonly (readonly [number, number])[] {
    return this.allocator.inUse;
  }

  /** The shared memory with this cookie, if it exists. */
  find(cookie: number): TeeShm | undefined {
    return this.byCookie.get(cookie);
  }

  /**
   * Allocate contiguous memory that is not registered with secure world.
   * @throws TeecError OUT_OF_MEMORY
   */
  allocate(size: number): TeeShm {
    return this.create(this.dynamic ? 'private' : 'reserved', size, this.contiguous(size), undefined);
  }

  /**
   * Allocate contiguous memory that the caller is going to register with secure world.
   * @param unregister unregisters it; called before the memory is reused.
   * @throws TeecError OUT_OF_MEMORY
   */
  allocateToRegister(size: number, unregister: (shm: TeeShm) => Promise<void>): TeeShm {
    return this.create('registered', size, this.contiguous(size), unregister);
  }

  /** The same with single pages. @throws TeecError OUT_OF_MEMORY */
  scatteredToRegister(size: number, unregister: (shm: TeeShm) => Promise<void>): TeeShm {
    const pages = this.allocator.allocateScattered(Math.max(1, Math.ceil(size / pageSize)));
    if (pages === undefined) throw this.outOfMemory(size);
    return this.create('registered', size, pages, unregister);
  }

  /** Secure world is dead: memory that it refused to give back can be reused. */
  end(): void {
    for (const giveBack of this.withheld.splice(0)) giveBack();
  }

  private contiguous(size: number): number[] {
    const base = this.allocator.allocate(size);
    if (base === undefined) throw this.outOfMemory(size);
    return [base];
  }

  /** @param blocks the allocated blocks: one contiguous block, or single pages. */
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
    // Clear the memory, so that it does not disclose data of other clients or of secure world.
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
            try {
              await unregister(shm);
            } catch (error) {
              this.withheld.push(() => giveBack(shm));
              throw error;
            }
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
