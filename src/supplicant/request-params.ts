import { TeeResult } from '../protocol/tee-result.js';
import type { ParamDirection, TeeMemrefParam, TeeParam, TeeValueParam } from '../tee/tee-param.js';
import { commsError, type TeecError } from '../tee/teec-error.js';

/** What services expect of the parameters of a request. Each throws TeecError BAD_PARAMETERS where it is not so. */

export function valueAt(params: readonly TeeParam[], index: number, direction: ParamDirection): TeeValueParam {
  const param = params[index];
  if (param?.type !== 'value' || param.direction !== direction)
    throw badRequest(`parameter ${index} is not an ${direction} value`);
  return param;
}

export function memrefAt(params: readonly TeeParam[], index: number, direction: ParamDirection): TeeMemrefParam {
  const param = params[index];
  if (param?.type !== 'memref' || param.direction !== direction)
    throw badRequest(`parameter ${index} is not an ${direction} memory reference`);
  return param;
}

/** A copy of what a memory reference holds. */
export function bytesOf(memref: TeeMemrefParam): Uint8Array {
  const bytes = new Uint8Array(memref.size);
  memref.shm?.read(memref.offset, bytes);
  return bytes;
}

export function bytesAt(params: readonly TeeParam[], index: number): Uint8Array {
  return bytesOf(memrefAt(params, index, 'input'));
}

/** Small numbers for open things, used again when free, as a process's file descriptors are. */
export class HandleTable<T> {
  private readonly open = new Map<number, T>();

  add(thing: T): number {
    let handle = 0;
    while (this.open.has(handle)) handle++;
    this.open.set(handle, thing);
    return handle;
  }

  find(handle: number): T {
    const thing = this.open.get(handle);
    if (thing === undefined) throw badRequest(`handle ${handle} is not open`);
    return thing;
  }

  take(handle: number): T {
    const thing = this.find(handle);
    this.open.delete(handle);
    return thing;
  }

  takeAll(): T[] {
    const things = [...this.open.values()];
    this.open.clear();
    return things;
  }
}

export function badRequest(what: string): TeecError {
  return commsError(TeeResult.ERROR_BAD_PARAMETERS, `supplicant request: ${what}`);
}
