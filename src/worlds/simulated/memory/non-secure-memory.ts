import { MsgArg } from '../../../protocol/optee-msg.js';
import type { MemoryRange, PhysicalAddress } from '../../../protocol/physical-memory.js';
import { BufferMemory } from '../../../protocol/physical-memory.js';

/** How many views of messages are kept. */
const messagesKept = 1024;

/**
 * The DRAM of the simulated board: all of it is non-secure, a part of it may be reserved as shared memory.
 * OP-TEE's own memory is JavaScript's and has no physical address.
 */
export class NonSecureMemory extends BufferMemory {
  private readonly view: DataView;
  /** Views of messages by address: a normal world uses the same places again and again. */
  private readonly messages = new Map<PhysicalAddress, MsgArg>();

  /**
   * @param dram all of the memory, page-aligned.
   * @param reservedShm the reserved shared memory inside it, if there is any.
   * @param buffer what it lies in, as many bytes, all zero.
   */
  constructor(
    readonly dram: MemoryRange,
    readonly reservedShm: MemoryRange | undefined,
    buffer: ArrayBuffer = new ArrayBuffer(dram.size),
  ) {
    super(dram.base, buffer);
    this.view = new DataView(buffer);
  }

  /** One little-endian word of 32 bits, at an address inside the memory. */
  uint32(address: PhysicalAddress): number {
    return this.view.getUint32(address - this.base, true);
  }

  /** The message of that many bytes at an address, live. */
  message(address: PhysicalAddress, size: number): MsgArg {
    const known = this.messages.get(address);
    if (known !== undefined && known.bytes.length === size) return known;
    const message = new MsgArg(this.window(address, size));
    if (this.messages.size >= messagesKept) this.messages.clear();
    this.messages.set(address, message);
    return message;
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
