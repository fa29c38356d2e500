import type { TeeContext } from '../tee/tee-context.js';
import type { TeeDevice } from '../tee/tee-device.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { TemporaryBlock } from './temporary-block.js';

/** Buffers up to this size, in bytes, are kept for the next call. */
const keptSize = 64 * 1024;
/** How many are kept. */
const keptCount = 16;

/**
 * Shared memory behind temporary memory references. Making a buffer known to secure world costs two calls of its own, so
 * small ones are kept and used again.
 */
export class TemporaryMemory {
  private readonly kept: TeeShm[] = [];
  /** What calls under way bring back, by the client's memory that it is part of. */
  private readonly underWay = new Map<ArrayBufferLike, TemporaryBlock[]>();

  constructor(
    private readonly device: TeeDevice,
    private readonly context: TeeContext,
  ) {}

  /** Secure world can tell a null reference from one to no bytes. */
  get knowsNull(): boolean {
    return this.device.version.memrefNull;
  }

  /**
   * Shared memory of at least `size` bytes; its first `size` bytes are the caller's. Of no bytes there is memory too:
   * only a null reference has none (Linux's TEE_GEN_CAP_MEMREF_NULL).
   */
  acquire(size: number): TeeShm | Promise<TeeShm> {
    if (size > keptSize) return this.device.allocateShm(this.context, size);
    const index = this.kept.findIndex((shm) => shm.size >= size);
    const [shm] = index < 0 ? [] : this.kept.splice(index, 1);
    return shm === undefined ? this.device.allocateShm(this.context, keptSizeFor(size)) : shm;
  }

  /** A block has been sent that will come back. */
  enter(block: TemporaryBlock): void {
    const others = this.underWay.get(block.memory);
    if (others === undefined) {
      this.underWay.set(block.memory, [block]);
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
    const others = this.underWay.get(block.memory);
    const index = others?.indexOf(block) ?? -1;
    if (others === undefined || index < 0) return;
    if (others.length === 1) this.underWay.delete(block.memory);
    else others.splice(index, 1);
  }

  /** Give it back; a promise when that takes time. */
  release(shm: TeeShm, used: number): Promise<void> | undefined {
    if (shm.size > keptSize || this.kept.length >= keptCount) return this.device.freeShm(this.context, shm);
    // The next TA must not find what was meant for this one.
    shm.bytes.fill(0, 0, used);
    this.kept.push(shm);
    return undefined;
  }
}

/** One page, or the whole of what is kept: few sizes, so that a kept buffer fits often. */
function keptSizeFor(size: number): number {
  return size <= 4096 ? 4096 : keptSize;
}
