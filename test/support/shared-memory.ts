import { ShmPool } from '../../src/optee/shm-pool.js';
import { BufferMemory } from '../../src/protocol/physical-memory.js';
import type { ParamDirection, TeeMemrefParam, TeeValueParam } from '../../src/tee/tee-param.js';

/** A megabyte of shared memory, and parameters as secure world's requests have them. */
export class RequestMemory {
  readonly pool = new ShmPool(new BufferMemory(0x4000_0000, new ArrayBuffer(1 << 20)), true, [
    { base: 0x4000_0000, size: 1 << 20 },
  ]);

  memref(direction: ParamDirection, content: Uint8Array | number): TeeMemrefParam {
    const size = typeof content === 'number' ? content : content.length;
    const shm = this.pool.allocate(size);
    if (typeof content !== 'number') shm.write(0, content);
    return { type: 'memref', direction, shm, offset: 0, size };
  }

  text(text: string): TeeMemrefParam {
    return this.memref('input', new TextEncoder().encode(`${text}\0`));
  }
}

export function valueParam(direction: ParamDirection, a = 0, b = 0, c = 0): TeeValueParam {
  return { type: 'value', direction, a, b, c };
}

/** What stands in a memref now. */
export function bytesOf(param: TeeMemrefParam): Uint8Array {
  const bytes = new Uint8Array(param.size);
  param.shm?.read(param.offset, bytes);
  return bytes;
}
