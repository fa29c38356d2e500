/** A physical byte address: an integer in 0..2^53-1. */
export type PhysicalAddress = number;

/** A contiguous range of physical memory; `size` in bytes. */
export interface MemoryRange {
  readonly base: PhysicalAddress;
  readonly size: number;
}

/** OPTEE_MSG_NONCONTIG_PAGE_SIZE: shared memory is counted in pages of 4 KiB, whatever the CPU's page size. */
export const pageSize = 4096;

/**
 * The non-secure memory that both worlds can access.
 *
 * A window is a view, not a copy: the other world may change the bytes at any moment. Code that reads data which the
 * other world can write must copy it once, check the copy, and use only the copy.
 */
export interface PhysicalMemory {
  /**
   * A view of `length` bytes at `address`.
   * @throws PhysicalAddressError when one of them is outside the memory.
   */
  window(address: PhysicalAddress, length: number): Uint8Array;
}

/** An address range that is not completely inside the shared memory. */
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
