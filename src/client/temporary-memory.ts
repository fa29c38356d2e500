import type { TeeContext } from '../tee/tee-context.js';
import type { TeeDevice } from '../tee/tee-device.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { TemporaryBlock } from './temporary-block.js';

/** Buffers up to this size, in bytes, are kept for the next call. */
const keptSize = 64 * 1024;
/** How many buffers are kept. */
const keptCount = 16;

/**
 * Blocks of calls in progress that will be copied back, by ArrayBuffer, for all clients: clients may share a buffer.
 */
const underWay = new Map<ArrayBufferLike, TemporaryBlock[]>();

/**
 * Bytes of a buffer are about to change. Calls in progress that will be copied back into it must not undo the change.
 */
export function beforeWriting(bytes: Uint8Array, offset: number, size: number): void {
  const start = bytes.byteOffset + offset;
  for (const block of underWay.get(bytes.buffer) ?? []) if (block.touches(start, start + size)) block.contest();
}

/**
 * Shared memory for temporary memory references. Registering a buffer with secure world and unregistering it takes two
 * calls, so small buffers are kept for reuse.
 */
export class TemporaryMemory {
  private readonly kept: TeeShm[] = [];

  constructor(
    private readonly device: TeeDevice,
    private readonly context: TeeContext,
  ) {}

  /** Whether secure world distinguishes a null reference from one to 0 bytes. */
  get knowsNull(): boolean {
    return this.device.version.memrefNull;
  }

  /**
   * Shared memory of at least `size` bytes; its first `size` bytes are the caller's. A size of 0 also gets memory: only
   * a null reference has none (Linux's TEE_GEN_CAP_MEMREF_NULL).
   */
  acquire(size: number): TeeShm | Promise<TeeShm> {
    if (size > keptSize) return this.device.allocateShm(this.context, size);
    const index = this.kept.findIndex((shm) => shm.size >= size);
    const [shm] = index < 0 ? [] : this.kept.splice(index, 1);
    return shm === undefined ? this.device.allocateShm(this.context, keptSizeFor(size)) : shm;
  }

  /** Register a block that will be copied back. */
  enter(block: TemporaryBlock): void {
    const others = underWay.get(block.memory);
    if (others === undefined) {
      underWay.set(block.memory, [block]);
      return;
    }
    for (const other of others) {
      if (!other.overlaps(block)) continue;
      other.contest();
      block.contest();
    }
    others.push(block);
  }

  leave(block: TemporaryBlock): void {
    const others = underWay.get(block.memory);
    const index = others?.indexOf(block) ?? -1;
    if (others === undefined || index < 0) return;
    if (others.length === 1) underWay.delete(block.memory);
    else others.splice(index, 1);
  }

  /** Release the memory. A promise if that takes time. */
  release(shm: TeeShm, used: number): Promise<void> | undefined {
    if (shm.size > keptSize || this.kept.length >= keptCount) return this.device.freeShm(this.context, shm);
    // Zeroed, so that the next TA cannot read this call's data.
    shm.bytes.fill(0, 0, used);
    this.kept.push(shm);
    return undefined;
  }
}

/** One page, or the maximum kept size. With only two sizes, a kept buffer is reused often. */
function keptSizeFor(size: number): number {
  return size <= 4096 ? 4096 : keptSize;
}
