import type { TeeParam, TeeValueParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { memrefNullId, ParamAttr, paramAttrMeta, paramSize, SupplicantArg } from '../uapi/tee.js';
import { Errno, ErrnoError } from './errno.js';
import { invalid } from './tee-ioctl.js';

/**
 * The arguments of the supplicant's ioctls (uapi linux/tee.h: struct tee_iocl_supp_recv_arg, tee_iocl_supp_send_arg): a word,
 * the number of parameters, the parameters. With TEE_IOCTL_PARAM_ATTR_META in the first one several requests are served
 * side by side, and that parameter names the request.
 */
const { head } = SupplicantArg;
const meta = BigInt(paramAttrMeta);
const attrs = { input: 1n, output: 2n, inout: 3n } as const;
const valueInout = attrs.inout;
/** A reference has the attribute of a value of its direction, and this more. */
const memref = BigInt(ParamAttr.memrefInput - ParamAttr.valueInput);

/** How a supplicant asks for a request. */
export interface ReceiveArg {
  /** It wants to be told the request's name, and may ask for the next before it has answered this one. */
  readonly meta: boolean;
  /** For how many parameters of a request there is room. */
  readonly room: number;
}

/** optee_supp_recv() checks it: nothing but a first META parameter. */
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

/** @param idOf what the supplicant calls memory. */
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

/** A supplicant's answer. */
export interface SendArg {
  readonly result: number;
  /** The request that it names; undefined when it does not, and means the one that it has. */
  readonly id: number | undefined;
  /** Behind the parameter that names it. */
  readonly params: number;
}

/** optee_supp_send() finds the request by it. */
export function parseSend(body: Buffer, named: boolean): SendArg {
  const count = paramCount(body);
  const result = body.readUInt32LE(0);
  if (!named) return { result, id: undefined, params: count };
  if (count === 0 || body.readBigUInt64LE(head) !== (valueInout | meta))
    throw invalid('SUPPL_SEND does not name the request that it answers');
  return { result, id: Number(body.readBigUInt64LE(head + 8)), params: count - 1 };
}

/** Take over what the supplicant may write: values, and the sizes of references. @throws ErrnoError EINVAL */
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

/** No request of that name is with the supplicant. */
export function noSuchRequest(id: number | undefined): ErrnoError {
  return new ErrnoError(Errno.ENOENT, `the supplicant has no request ${id ?? ''}`);
}
