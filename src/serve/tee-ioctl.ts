import { LoginClass } from '../protocol/optee-msg.js';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import type { Login } from '../tee/login.js';
import type { TeeReply } from '../tee/tee-driver.js';
import { noneParam, type TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import {
  InvokeArg as InvokeLayout,
  memrefNullId,
  OpenSessionArg as OpenSessionLayout,
  ParamAttr,
  paramCountAt,
  paramDirections,
  paramSize,
} from '../uapi/tee.js';
import { Errno, ErrnoError } from './errno.js';

/**
 * Conversions between the arguments of the TEE ioctls (uapi linux/tee.h) and the TEE subsystem's requests. Invalid
 * arguments get the same errno as in Linux's tee_core.c.
 */

/** TEE_IOCTL_LOGIN_REE_KERNEL_MAX. */
const lastKernelLogin = 0xbfff_ffff;

/** Shared memory of a client. */
export interface ClientMemory {
  readonly shm: TeeShm;
  /** Where the memory begins in its pages, in bytes: a registered buffer keeps its offset in the first page. */
  readonly offset: number;
  readonly size: number;
}

/** Finds shared memory by its id. */
export type MemoryById = (id: number) => ClientMemory | undefined;

export interface OpenSessionArg {
  readonly uuid: Uuid;
  readonly login: Login;
  readonly cancelId: number;
  readonly params: readonly TeeParam[];
}

export function parseOpenSession(body: Buffer, memory: MemoryById): OpenSessionArg {
  const params = parseParams(body, OpenSessionLayout.head, memory);
  return {
    uuid: uuidFromOctets(body.subarray(OpenSessionLayout.uuid, OpenSessionLayout.clientUuid)),
    // The group of a group login is in the first four octets of the client's UUID.
    login: login(body.readUInt32LE(OpenSessionLayout.clientLogin), body.readUInt32LE(OpenSessionLayout.clientUuid)),
    cancelId: body.readUInt32LE(OpenSessionLayout.cancelId),
    params,
  };
}

/** The argument with its outputs. */
export function openSessionReply(
  body: Buffer,
  answer: TeeReply & { readonly session: number },
  params: readonly TeeParam[],
): Buffer {
  const bytes = Buffer.from(body);
  bytes.writeUInt32LE(answer.session, OpenSessionLayout.session);
  bytes.writeUInt32LE(answer.result, OpenSessionLayout.result);
  bytes.writeUInt32LE(answer.origin, OpenSessionLayout.origin);
  writeParams(bytes, OpenSessionLayout.head, params);
  return bytes;
}

export interface InvokeArg {
  readonly command: number;
  readonly session: number;
  readonly cancelId: number;
  readonly params: readonly TeeParam[];
}

export function parseInvoke(body: Buffer, memory: MemoryById): InvokeArg {
  const params = parseParams(body, InvokeLayout.head, memory);
  return {
    command: body.readUInt32LE(InvokeLayout.command),
    session: body.readUInt32LE(InvokeLayout.session),
    cancelId: body.readUInt32LE(InvokeLayout.cancelId),
    params,
  };
}

export function invokeReply(body: Buffer, answer: TeeReply, params: readonly TeeParam[]): Buffer {
  const bytes = Buffer.from(body);
  bytes.writeUInt32LE(answer.result, InvokeLayout.result);
  bytes.writeUInt32LE(answer.origin, InvokeLayout.origin);
  writeParams(bytes, InvokeLayout.head, params);
  return bytes;
}

/** Check the size of an argument. */
export function fixedArg(body: Buffer, size: number): Buffer {
  if (body.length !== size) throw invalid(`an argument of ${body.length} bytes, expected ${size}`);
  return body;
}

function login(loginClass: number, gid: number): Login {
  switch (loginClass) {
    case LoginClass.public:
      return { login: 'public' };
    case LoginClass.user:
      return { login: 'user' };
    case LoginClass.group:
      return { login: 'group', gid };
    default:
      throw loginClass >= LoginClass.reeKernel && loginClass <= lastKernelLogin
        ? new ErrnoError(Errno.EPERM, `login class 0x${loginClass.toString(16)} is reserved for the kernel`)
        : invalid(`login class ${loginClass}`);
  }
}

function parseParams(body: Buffer, head: number, memory: MemoryById): TeeParam[] {
  if (body.length < head) throw invalid(`an argument of ${body.length} bytes, at least ${head}`);
  // In both arguments the number of parameters is the last word before the parameters.
  const count = body.readUInt32LE(paramCountAt(head));
  if (body.length !== head + count * paramSize)
    throw invalid(`an argument of ${body.length} bytes with ${count} parameters`);
  return Array.from({ length: count }, (_, index) => parseParam(body, head + index * paramSize, index, memory));
}

function parseParam(body: Buffer, at: number, index: number, memoryById: MemoryById): TeeParam {
  const attr = body.readBigUInt64LE(at);
  if (attr === 0n) return noneParam;
  const type = Number(attr);
  const value = paramDirections[type - ParamAttr.valueInput];
  if (value !== undefined) {
    // Outputs are not read, so any content is valid.
    if (value === 'output') return { type: 'value', direction: value, a: 0, b: 0, c: 0 };
    const words = [8, 16, 24].map((offset) => Number(body.readBigUInt64LE(at + offset)));
    const [a = 0, b = 0, c = 0] = words;
    if (words.every(Number.isSafeInteger)) return { type: 'value', direction: value, a, b, c };
    // Keep all 64 bits, as the kernel does.
    return { type: 'value', direction: value, a, b, c, octets: Uint8Array.from(body.subarray(at + 8, at + 32)) };
  }
  const direction = paramDirections[type - ParamAttr.memrefInput];
  if (direction === undefined) throw invalid(`parameter ${index} has attribute 0x${attr.toString(16)}`);
  const size = uint53(body, at + 16, index);
  const id = body.readBigUInt64LE(at + 24);
  if (id === memrefNullId) return { type: 'memref', direction, shm: null, offset: 0, size };
  const memory = memoryById(Number(id));
  if (memory === undefined) throw invalid(`parameter ${index}: shared memory ${id} does not belong to this context`);
  const offset = uint53(body, at + 8, index);
  if (offset + size > memory.size)
    throw invalid(`parameter ${index}: ${size} bytes from ${offset} on of memory of ${memory.size} bytes`);
  return { type: 'memref', direction, shm: memory.shm, offset: memory.offset + offset, size };
}

/** Write the outputs of parameters: the words of values, the sizes of memory references. */
function writeParams(bytes: Buffer, head: number, params: readonly TeeParam[]): void {
  params.forEach((param, index) => {
    const at = head + index * paramSize;
    if (param.type === 'none' || param.direction === 'input') return;
    if (param.type === 'memref') {
      writeWord(bytes, at + 16, param.size);
      return;
    }
    if (param.octets !== undefined) {
      bytes.set(param.octets, at + 8);
      return;
    }
    writeWord(bytes, at + 8, param.a);
    writeWord(bytes, at + 16, param.b);
    writeWord(bytes, at + 24, param.c);
  });
}

/** A 64-bit value above 2^53 is not exact as a number and may have been rounded up to 2^64. */
function writeWord(bytes: Buffer, at: number, value: number): void {
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at);
}

function uint53(body: Buffer, at: number, index: number): number {
  const value = body.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw invalid(`parameter ${index} has 0x${value.toString(16)}, which is not valid for GlobalPlatform`);
  return Number(value);
}

export function invalid(what: string): ErrnoError {
  return new ErrnoError(Errno.EINVAL, what);
}
