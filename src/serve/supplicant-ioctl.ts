import type { TeeParam, TeeValueParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { memrefNullId, ParamAttr, paramAttrMeta, paramSize, SupplicantArg } from '../uapi/tee.js';
import { Errno, ErrnoError } from './errno.js';
import { invalid } from './tee-ioctl.js';

/**
 * Arguments of the supplicant's ioctls (struct tee_iocl_supp_recv_arg and tee_iocl_supp_send_arg in uapi linux/tee.h):
 * one word, the number of parameters, the parameters. If the first parameter has TEE_IOCTL_PARAM_ATTR_META, it contains
 * the request's id, and several requests can be served concurrently.
 */
const { head } = SupplicantArg;
const meta = BigInt(paramAttrMeta);
const attrs = { input: 1n, output: 2n, inout: 3n } as const;
const valueInout = attrs.inout;
/** Difference between the attributes of a memory reference and of a value with the same direction. */
const memref = BigInt(ParamAttr.memrefInput - ParamAttr.valueInput);

/** The argument of SUPPL_RECV. */
export interface ReceiveArg {
  /** The supplicant wants request ids, and may receive the next request before it has answered this one. */
  readonly meta: boolean;
  /** Number of parameters that fit. */
  readonly room: number;
}

/** Check the argument as optee_supp_recv() does: only a META parameter may precede the request's parameters. */
export function parseReceive(body: Buffer): ReceiveArg {
  const count = paramCount(body);
  const first = count > 0 ? body.readBigUInt64LE(head) : 0n;
  if (count === 0) throw invalid('SUPPL_RECV without a parameter');
  for (let index = 0; index < count; index++) {
    const attr = body.readBigUInt64LE(head + index * paramSize);
    if (attr !== 0n && attr !== meta) throw invalid(`SUPPL_RECV with attribute 0x${attr.toString(16)}`);
  }
  return { meta: first === meta, room: first === meta ? count - 1 : count };
}

/** @param idOf the supplicant's id of shared memory. */
export function receiveReply(
  body: Buffer,
  request: { readonly id: number; readonly command: number; readonly params: readonly TeeParam[] },
  withMeta: boolean,
  idOf: (shm: TeeShm) => number,
): Buffer {
  const bytes = Buffer.alloc(body.length);
  bytes.writeUInt32LE(request.command, 0);
  bytes.writeUInt32LE(request.params.length + (withMeta ? 1 : 0), 4);
  let at = head;
  if (withMeta) {
    bytes.writeBigUInt64LE(valueInout | meta, at);
    bytes.writeBigUInt64LE(BigInt(request.id), at + 8);
    at += paramSize;
  }
  for (const param of request.params) {
    writeParam(bytes, at, param, idOf);
    at += paramSize;
  }
  return bytes;
}

function writeParam(bytes: Buffer, at: number, param: TeeParam, idOf: (shm: TeeShm) => number): void {
  const word = (offset: number, value: bigint) => bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at + offset);
  switch (param.type) {
    case 'none':
      return;
    case 'value':
      word(0, attrs[param.direction]);
      if (param.direction === 'output') return;
      if (param.octets !== undefined) bytes.set(param.octets, at + 8);
      else for (const [index, value] of [param.a, param.b, param.c].entries()) word(8 + 8 * index, BigInt(value));
      return;
    case 'memref':
      word(0, attrs[param.direction] + memref);
      word(8, BigInt(param.shm === null ? 0 : param.offset));
      word(16, BigInt(param.size));
      word(24, param.shm === null ? memrefNullId : BigInt(idOf(param.shm)));
      return;
  }
}

/** The argument of SUPPL_SEND. */
export interface SendArg {
  readonly result: number;
  /** The id of the answered request; undefined if the supplicant does not use ids. */
  readonly id: number | undefined;
  /** Number of parameters without the META parameter. */
  readonly params: number;
}

/** Parse the argument as optee_supp_send() does. */
export function parseSend(body: Buffer, named: boolean): SendArg {
  const count = paramCount(body);
  const result = body.readUInt32LE(0);
  if (!named) return { result, id: undefined, params: count };
  if (count === 0 || body.readBigUInt64LE(head) !== (valueInout | meta))
    throw invalid('SUPPL_SEND does not name the request that it answers');
  return { result, id: Number(body.readBigUInt64LE(head + 8)), params: count - 1 };
}

/** Copy the outputs that the supplicant may write: values, and sizes of memory references. @throws ErrnoError EINVAL */
export function takeAnswer(body: Buffer, named: boolean, params: readonly TeeParam[]): void {
  params.forEach((param, index) => {
    const at = head + (index + (named ? 1 : 0)) * paramSize;
    if (param.type === 'none' || param.direction === 'input') return;
    if (param.type === 'value') takeValue(body, at, param);
    else {
      const size = body.readBigUInt64LE(at + 16);
      if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`a reference of ${size} bytes`);
      param.size = Number(size);
    }
  });
}

function takeValue(body: Buffer, at: number, param: TeeValueParam): void {
  const words = [8, 16, 24].map((offset) => Number(body.readBigUInt64LE(at + offset)));
  const [a = 0, b = 0, c = 0] = words;
  Object.assign(param, { a, b, c });
  param.octets = words.every(Number.isSafeInteger) ? undefined : Uint8Array.from(body.subarray(at + 8, at + 32));
}

function paramCount(body: Buffer): number {
  if (body.length < head) throw invalid(`an argument of ${body.length} bytes, at least ${head}`);
  const count = body.readUInt32LE(4);
  if (body.length !== head + count * paramSize)
    throw invalid(`an argument of ${body.length} bytes with ${count} parameters`);
  return count;
}

/** The error for an answer to a request that the supplicant does not have. */
export function noSuchRequest(id: number | undefined): ErrnoError {
  return new ErrnoError(Errno.ENOENT, `the supplicant has no request ${id ?? ''}`);
}
