import type { MemoryRange, PhysicalAddress } from '../../protocol/physical-memory.js';
import { BufferMemory } from '../../protocol/physical-memory.js';

/**
 * The DRAM of the simulated board: all of it is non-secure, a part of it may be reserved as shared memory.
 * OP-TEE's own memory is JavaScript's and has no physical address.
 */
export class NonSecureMemory extends BufferMemory {
  /**
   * @param dram all of the memory, page-aligned.
   * @param reservedShm the reserved shared memory inside it, if there is any.
   */
  constructor(
    readonly dram: MemoryRange,
    readonly reservedShm: MemoryRange | undefined,
  ) {
    super(dram.base, new ArrayBuffer(dram.size));
  }

  /** Wholly in the reserved shared memory: core_pbuf_is(CORE_MEM_NSEC_SHM). */
  isReservedShm(address: PhysicalAddress, size: number): boolean {
    return this.reservedShm !== undefined && inside(address, size, this.reservedShm);
  }

  /** Wholly in non-secure memory: core_pbuf_is(CORE_MEM_NON_SEC). */
  isNonSecure(address: PhysicalAddress, size: number): boolean {
    return inside(address, size, this.dram);
  }
}

function inside(address: PhysicalAddress, size: number, range: MemoryRange): boolean {
  return address >= range.base && size >= 0 && address + size <= range.base + range.size;
}
