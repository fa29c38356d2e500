/** A byte address as the other world sees it: an integer in 0..2^53-1. */
export type PhysicalAddress = number;

/** A contiguous range of physical memory; `size` in bytes. */
export interface MemoryRange {
  readonly base: PhysicalAddress;
  readonly size: number;
}

/** OPTEE_MSG_NONCONTIG_PAGE_SIZE: both worlds count shared memory in pages of 4 KiB, whatever the CPU's page size. */
export const pageSize = 4096;

/**
 * The non-secure memory that both worlds can reach.
 *
 * A window is live: the other world may change what is behind it at any moment. Whoever reads data that the other world
 * can write copies it once, checks the copy, and uses only the copy.
 */
export interface PhysicalMemory {
  /**
   * The bytes at `address`, `length` of them, without copying.
   * @throws PhysicalAddressError when any of them is outside the memory.
   */
  window(address: PhysicalAddress, length: number): Uint8Array;
}

/** An address range that is not (or not wholly) in the memory both worlds share. */
export class PhysicalAddressError extends RangeError {
  override readonly name = 'PhysicalAddressError';

  constructor(
    readonly address: PhysicalAddress,
    readonly length: number,
    ranges: readonly MemoryRange[],
  ) {
    super(
      `physical address ${hex(address)}, ${length} bytes, is outside ${ranges
        .map((range) => `${hex(range.base)}..${hex(range.base + range.size - 1)}`)
        .join(', ')}`,
    );
  }
}

/** Physical memory over one ArrayBuffer (in-process memory, or a mapped file). */
export class BufferMemory implements PhysicalMemory {
  constructor(
    readonly base: PhysicalAddress,
    private readonly buffer: ArrayBufferLike,
  ) {}

  window(address: PhysicalAddress, length: number): Uint8Array {
    const offset = address - this.base;
    // The negated form also refuses NaN.
    if (!(offset >= 0 && length >= 0 && offset + length <= this.buffer.byteLength))
      throw new PhysicalAddressError(address, length, [{ base: this.base, size: this.buffer.byteLength }]);
    return new Uint8Array(this.buffer, offset, length);
  }
}

function hex(value: number): string {
  return Number.isInteger(value) ? `0x${value.toString(16).padStart(8, '0')}` : String(value);
}
