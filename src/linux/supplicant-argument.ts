import type { TeeParam } from '../tee/tee-param.js';
import { noneParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { memrefNullId, ParamAttr, paramAttrMeta, paramDirections, paramSize, SupplicantArg } from '../uapi/tee.js';

/**
 * The arguments of SUPPL_RECV and SUPPL_SEND on the supplicant's side, with a META parameter that contains the
 * request's id.
 */

const { head } = SupplicantArg;
const meta = BigInt(paramAttrMeta);
const valueInout = BigInt(ParamAttr.valueInput + paramDirections.indexOf('inout'));
/** Largest number of parameters in Linux's driver (MAX_ARG_PARAM_COUNT). */
const mostParams = 6;

/**
 * The argument for receiving a request. With its META parameter, further requests can be received before this one is
 * answered.
 */
export function receiveArgument(): Buffer {
  const bytes = Buffer.alloc(head + (1 + mostParams) * paramSize);
  bytes.writeUInt32LE(1 + mostParams, SupplicantArg.count);
  bytes.writeBigUInt64LE(meta, head);
  return bytes;
}

export interface ParsedRequest {
  readonly id: number;
  readonly command: number;
  readonly params: readonly TeeParam[];
  /** A memory id that this supplicant does not know. */
  readonly unknown: number | undefined;
}

export function parseRequest(bytes: Buffer, memory: (id: number) => TeeShm | undefined): ParsedRequest {
  const count = bytes.readUInt32LE(SupplicantArg.count);
  let unknown: number | undefined;
  const params = Array.from({ length: Math.min(count - 1, mostParams) }, (_, index): TeeParam => {
    const at = head + (1 + index) * paramSize;
    const attr = Number(bytes.readBigUInt64LE(at));
    const [a, b, c] = [8, 16, 24].map((offset) => bytes.readBigUInt64LE(at + offset)) as [bigint, bigint, bigint];
    const value = paramDirections[attr - ParamAttr.valueInput];
    if (value !== undefined) {
      const octets = value === 'input' ? Uint8Array.from(bytes.subarray(at + 8, at + paramSize)) : undefined;
      return { type: 'value', direction: value, a: Number(a), b: Number(b), c: Number(c), octets };
    }
    const direction = paramDirections[attr - ParamAttr.memrefInput];
    if (direction === undefined) return noneParam;
    if (c === memrefNullId) return { type: 'memref', direction, shm: null, offset: 0, size: Number(b) };
    const shm = memory(Number(c));
    if (shm === undefined) unknown ??= Number(BigInt.asIntN(64, c));
    return { type: 'memref', direction, shm: shm ?? null, offset: Number(a), size: Number(b) };
  });
  return {
    ...{ id: Number(bytes.readBigUInt64LE(head + 8)), command: bytes.readUInt32LE(SupplicantArg.word) },
    ...{ params, unknown },
  };
}

export function sendArgument(id: number, result: number, params: readonly TeeParam[]): Buffer {
  const bytes = Buffer.alloc(head + (1 + params.length) * paramSize);
  bytes.writeUInt32LE(result, SupplicantArg.word);
  bytes.writeUInt32LE(1 + params.length, SupplicantArg.count);
  const words = (index: number, ...values: readonly (number | bigint)[]) => {
    for (const [position, value] of values.entries())
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), head + index * paramSize + 8 * position);
  };
  words(0, valueInout | meta, id);
  for (const [index, param] of params.entries()) {
    if (param.type === 'none') continue;
    const direction = paramDirections.indexOf(param.direction);
    if (param.type === 'memref') words(1 + index, ParamAttr.memrefInput + direction, param.offset, param.size);
    else words(1 + index, ParamAttr.valueInput + direction, param.a, param.b, param.c);
  }
  return bytes;
}
