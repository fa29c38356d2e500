import type { PhysicalAddress, PhysicalMemory } from '../../protocol/physical-memory.js';
import { pageSize } from '../../protocol/physical-memory.js';

/** Number of normal-world pages for messages, page lists and buffers of inputs. They are at the end of RAM. */
export const rawPages = 32;
/** The first pages are for messages, the next for page lists, the others for buffers. */
export const messagePages = 2;
export const listPages = 6;

/** Memory that only inputs share with secure world. */
export class RawMemory {
  constructor(
    private readonly memory: PhysicalMemory,
    /** Address of the first page. */
    readonly base: PhysicalAddress,
  ) {}

  page(index: number): PhysicalAddress {
    return this.base + (index % rawPages) * pageSize;
  }

  /** A live view. */
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
