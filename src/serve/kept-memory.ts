import type { TeeShm } from '../tee/tee-shm.js';

/** Bytes that are kept at most; memory larger than a quarter of it never is. */
const maxKept = 256 * 1024;

/**
 * Shared memory that a client gave back, for its next wish of the same size. Making memory known to secure world and
 * forgotten there are two calls, and libteec does both for each temporary buffer.
 */
export class KeptMemory {
  private readonly bySize = new Map<number, TeeShm[]>();
  private bytes = 0;

  /** Keep it. @returns false when there is no room. */
  keep(shm: TeeShm): boolean {
    if (shm.size > maxKept / 4 || this.bytes + shm.size > maxKept) return false;
    this.bytes += shm.size;
    const list = this.bySize.get(shm.size);
    if (list === undefined) this.bySize.set(shm.size, [shm]);
    else list.push(shm);
    return true;
  }

  /** Memory of exactly that many bytes, all zero, that nobody else refers to; undefined when none is kept. */
  take(size: number): TeeShm | undefined {
    const shm = this.bySize.get(size)?.pop();
    if (shm === undefined) return undefined;
    this.bytes -= size;
    shm.bytes.fill(0);
    return shm;
  }

  /** Everything that is kept, which is from now on not. */
  takeAll(): TeeShm[] {
    const all = [...this.bySize.values()].flat();
    this.bySize.clear();
    this.bytes = 0;
    return all;
  }
}
