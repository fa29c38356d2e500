import { MsgArg } from '../../../protocol/optee-msg.js';
import type { MemoryRange, PhysicalAddress } from '../../../protocol/physical-memory.js';
import { BufferMemory } from '../../../protocol/physical-memory.js';

/** The number of message views that are cached. */
const messagesKept = 1024;

/**
 * The DRAM of the simulated board. All of it is non-secure; a part of it may be reserved as shared memory. OP-TEE's own
 * memory is in JavaScript objects and has no physical address.
 */
export class NonSecureMemory extends BufferMemory {
  private readonly view: DataView;
  /** Message views by address: a normal world uses the same addresses repeatedly. */
  private readonly messages = new Map<PhysicalAddress, MsgArg>();

  /**
   * @param dram all of the memory, page-aligned.
   * @param reservedShm the reserved shared memory inside it, if any.
   * @param buffer its contents: the same size, all zero.
   */
  constructor(
    readonly dram: MemoryRange,
    readonly reservedShm: MemoryRange | undefined,
    buffer: ArrayBuffer = new ArrayBuffer(dram.size),
  ) {
    super(dram.base, buffer);
    this.view = new DataView(buffer);
  }

  /** A little-endian 32-bit word at an address inside the memory. */
  uint32(address: PhysicalAddress): number {
    return this.view.getUint32(address - this.base, true);
  }

  /** A view of the message of `size` bytes at an address. */
  message(address: PhysicalAddress, size: number): MsgArg {
    const known = this.messages.get(address);
    if (known !== undefined && known.bytes.length === size) return known;
    const message = new MsgArg(this.window(address, size));
    if (this.messages.size >= messagesKept) this.messages.clear();
    this.messages.set(address, message);
    return message;
  }

  /** core_pbuf_is(CORE_MEM_NSEC_SHM): whether the range is completely in the reserved shared memory. */
  isReservedShm(address: PhysicalAddress, size: number): boolean {
    return this.reservedShm !== undefined && inside(address, size, this.reservedShm);
  }

  /** core_pbuf_is(CORE_MEM_NON_SEC): whether the range is completely in non-secure memory. */
  isNonSecure(address: PhysicalAddress, size: number): boolean {
    return inside(address, size, this.dram);
  }
}

function inside(address: PhysicalAddress, size: number, range: MemoryRange): boolean {
  return address >= range.base && size >= 0 && address + size <= range.base + range.size;
}
