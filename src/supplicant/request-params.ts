import { TeeResult } from '../protocol/tee-result.js';
import type { ParamDirection, TeeMemrefParam, TeeParam, TeeValueParam } from '../tee/tee-param.js';
import { commsError, type TeecError } from '../tee/teec-error.js';

/** Access to the parameters of a request. Each function throws TeecError BAD_PARAMETERS for an unexpected parameter. */

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
  // A size without memory is refused, because nothing may be allocated for it.
  if (param.shm === null && param.size > 0)
    throw badRequest(`parameter ${index} refers to ${param.size} bytes without memory`);
  return param;
}

/** A copy of the bytes of a memory reference. */
export function bytesOf(memref: TeeMemrefParam): Uint8Array {
  const bytes = new Uint8Array(memref.size);
  memref.shm?.read(memref.offset, bytes);
  return bytes;
}

export function bytesAt(params: readonly TeeParam[], index: number): Uint8Array {
  return bytesOf(memrefAt(params, index, 'input'));
}

export function badRequest(what: string): TeecError {
  return commsError(TeeResult.ERROR_BAD_PARAMETERS, `supplicant request: ${what}`);
}
