import type { TeeShm } from '../tee/tee-shm.js';

/** Largest number of bytes kept. Memory larger than a quarter of this is not kept. */
const maxKept = 256 * 1024;

/**
 * Shared memory that a client freed, kept for its next allocation of the same size. Registering and unregistering
 * memory are two calls to secure world, and libteec makes both for each temporary buffer.
 */
export class KeptMemory {
  private readonly bySize = new Map<number, TeeShm[]>();
  private bytes = 0;

  /** Keep memory. @returns false if the limit would be exceeded. */
  keep(shm: TeeShm): boolean {
    if (shm.size > maxKept / 4 || this.bytes + shm.size > maxKept) return false;
    this.bytes += shm.size;
    const list = this.bySize.get(shm.size);
    if (list === undefined) this.bySize.set(shm.size, [shm]);
    else list.push(shm);
    return true;
  }

  /** Memory of exactly this size, set to zero; undefined if none is kept. */
  take(size: number): TeeShm | undefined {
    const shm = this.bySize.get(size)?.pop();
    if (shm === undefined) return undefined;
    this.bytes -= size;
    shm.bytes.fill(0);
    return shm;
  }

  /** Remove and return all kept memory. */
  takeAll(): TeeShm[] {
    const all = [...this.bySize.values()].flat();
    this.bySize.clear();
    this.bytes = 0;
    return all;
  }
}
