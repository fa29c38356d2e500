import type { PhysicalAddress, PhysicalMemory } from '../../protocol/physical-memory.js';
import { pageSize } from '../../protocol/physical-memory.js';

/** Pages of the normal world that messages, lists of pages and buffers of inputs lie in: at the end of its RAM. */
export const rawPages = 32;
/** The first pages are for messages, the next for lists, the rest are buffers. */
export const messagePages = 2;
export const listPages = 6;

/** Memory that inputs give to secure world, and nobody else uses. */
export class RawMemory {
  constructor(
    private readonly memory: PhysicalMemory,
    /** Of the first page. */
    readonly base: PhysicalAddress,
  ) {}

  page(index: number): PhysicalAddress {
    return this.base + (index % rawPages) * pageSize;
  }

  /** Live. */
  bytes(address: PhysicalAddress, length: number): Uint8Array {
    return this.memory.window(address, length);
  }

  view(address: PhysicalAddress, length: number): DataView {
    const { buffer, byteOffset } = this.bytes(address, length);
    return new DataView(buffer, byteOffset, length);
  }

  clear(): void {
    this.bytes(this.base, rawPages * pageSize).fill(0);
  }
}
