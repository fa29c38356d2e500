import type { MemoryRange, PhysicalAddress } from '../protocol/physical-memory.js';

interface FreeRange {
  base: PhysicalAddress;
  size: number;
}

/** First-fit allocation of physical address ranges, in multiples of a granule. */
export class RangeAllocator {
  /** Sorted by address; adjacent ranges are merged. */
  private readonly free: FreeRange[];
  private readonly allocated = new Map<PhysicalAddress, number>();
  /** Managed bytes. */
  readonly capacity: number;
  private used = 0;

  /** @param granule bytes, a power of two; ranges are trimmed to it. */
  constructor(
    ranges: readonly MemoryRange[],
    private readonly granule: number,
  ) {
    this.free = ranges
      .map(({ base, size }) => {
        const start = Math.ceil(base / granule) * granule;
        return { base: start, size: Math.floor((base + size) / granule) * granule - start };
      })
      .filter((range) => range.size > 0)
      .sort((a, b) => a.base - b.base);
    this.capacity = this.free.reduce((sum, range) => sum + range.size, 0);
  }

  /** Allocated bytes, in whole granules. */
  get bytesInUse(): number {
    return this.used;
  }

  /** The allocated ranges: base and size in bytes, sorted by address. */
  get inUse(): readonly (readonly [PhysicalAddress, number])[] {
    return [...this.allocated].sort(([one], [other]) => one - other);
  }

  /** A contiguous range of at least `size` bytes (at least one granule); undefined when there is none. */
  allocate(size: number): PhysicalAddress | undefined {
    const wanted = this.rounded(size);
    const index = this.free.findIndex((range) => range.size >= wanted);
    const range = this.free[index];
    if (range === undefined) return undefined;
    const base = range.base;
    range.base += wanted;
    range.size -= wanted;
    if (range.size === 0) this.free.splice(index, 1);
    return this.take(base, wanted);
  }

  /**
   * `count` single granules from the top of memory downwards. No two neighbours in the result are ascending, so a
   * buffer made of them is non-contiguous, like the pages of a process. Undefined when there are not enough.
   */
  allocateScattered(count: number): PhysicalAddress[] | undefined {
    if (this.capacity - this.used < count * this.granule) return undefined;
    const granules: PhysicalAddress[] = [];
    while (granules.length < count) {
      const range = this.free.at(-1);
      if (range === undefined) throw new Error('free memory is less than its count');
      range.size -= this.granule;
      granules.push(this.take(range.base + range.size, this.granule));
      if (range.size === 0) this.free.pop();
    }
    return granules;
  }

  /** Release a range that `allocate` or `allocateScattered` returned. */
  release(base: PhysicalAddress): void {
    const size = this.allocated.get(base);
    if (size === undefined) throw new Error(`0x${base.toString(16)} is not allocated`);
    this.allocated.delete(base);
    this.used -= size;
    let low = 0;
    let high = this.free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.free[middle]?.base ?? 0) < base) low = middle + 1;
      else high = middle;
    }
    const before = this.free[low - 1];
    const after = this.free[low];
    const joinsAfter = after !== undefined && base + size === after.base;
    if (before !== undefined && before.base + before.size === base) {
      before.size += size;
      if (joinsAfter) {
        before.size += after.size;
        this.free.splice(low, 1);
      }
    } else if (joinsAfter) {
      after.base = base;
      after.size += size;
    } else {
      this.free.splice(low, 0, { base, size });
    }
  }

  private take(base: PhysicalAddress, size: number): PhysicalAddress {
    this.allocated.set(base, size);
    this.used += size;
    return base;
  }

  private rounded(size: number): number {
    return Math.max(1, Math.ceil(size / this.granule)) * this.granule;
  }
}
