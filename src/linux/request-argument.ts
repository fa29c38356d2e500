import type { TeeOrigin } from '../protocol/tee-result.js';
import { uuidOctets } from '../protocol/uuid.js';
import type { OpenSessionRequest, TeeReply } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import { InvokeArg, OpenSessionArg, ParamAttr, paramCountAt, paramDirections, paramSize } from '../uapi/tee.js';

/** Arguments of a client's ioctls, and their results. */

/** `memrefNullId` as a number: all bits are set. */
const memrefNull = -1;

/** The argument of an INVOKE. */
export function invokeArgument(
  command: number,
  session: number,
  cancelId: number,
  params: readonly TeeParam[],
): Buffer {
  const bytes = argument(InvokeArg.head, params);
  bytes.writeUInt32LE(command, InvokeArg.command);
  bytes.writeUInt32LE(session, InvokeArg.session);
  bytes.writeUInt32LE(cancelId, InvokeArg.cancelId);
  return bytes;
}

/** The result of an invoke; outputs of parameters are updated in place. */
export function invokeReply(bytes: Buffer, params: readonly TeeParam[]): TeeReply {
  update(bytes, InvokeArg.head, params);
  return { result: bytes.readUInt32LE(InvokeArg.result), origin: bytes.readUInt32LE(InvokeArg.origin) as TeeOrigin };
}

/** The argument of TEE_IOC_OPEN_SESSION. The kernel computes the client's UUID; a group login passes the group. */
export function openSessionArgument(
  { uuid, client, login, cancelId }: OpenSessionRequest,
  params: readonly TeeParam[],
): Buffer {
  const bytes = argument(OpenSessionArg.head, params);
  bytes.set(uuidOctets(uuid), OpenSessionArg.uuid);
  bytes.writeUInt32LE(login.login === 'group' ? login.gid : 0, OpenSessionArg.clientUuid);
  bytes.writeUInt32LE(client.loginClass, OpenSessionArg.clientLogin);
  bytes.writeUInt32LE(cancelId, OpenSessionArg.cancelId);
  return bytes;
}

/** The result of an open-session; outputs of parameters are updated in place. */
export function openSessionReply(bytes: Buffer, params: readonly TeeParam[]): TeeReply & { readonly session: number } {
  update(bytes, OpenSessionArg.head, params);
  return {
    session: bytes.readUInt32LE(OpenSessionArg.session),
    result: bytes.readUInt32LE(OpenSessionArg.result),
    origin: bytes.readUInt32LE(OpenSessionArg.origin) as TeeOrigin,
  };
}

function argument(head: number, params: readonly TeeParam[]): Buffer {
  const bytes = Buffer.alloc(head + params.length * paramSize);
  bytes.writeUInt32LE(params.length, paramCountAt(head));
  for (let index = 0; index < params.length; index++) {
    const param = params[index];
    if (param !== undefined) writeParam(bytes, head + index * paramSize, param);
  }
  return bytes;
}

function writeParam(bytes: Buffer, at: number, param: TeeParam): void {
  if (param.type === 'none') return;
  const direction = paramDirections.indexOf(param.direction);
  if (param.type === 'value') {
    bytes.writeUInt32LE(ParamAttr.valueInput + direction, at);
    writeWord(bytes, at + 8, param.a);
    writeWord(bytes, at + 16, param.b);
    writeWord(bytes, at + 24, param.c);
    if (param.octets !== undefined) bytes.set(param.octets, at + 8);
    return;
  }
  bytes.writeUInt32LE(ParamAttr.memrefInput + direction, at);
  writeWord(bytes, at + 8, param.shm === null ? 0 : param.offset);
  writeWord(bytes, at + 16, param.size);
  writeWord(bytes, at + 24, param.shm === null ? memrefNull : param.shm.secureWorldId);
}

function update(bytes: Buffer, head: number, params: readonly TeeParam[]): void {
  for (let index = 0; index < params.length; index++) {
    const param = params[index];
    if (param === undefined || param.type === 'none' || param.direction === 'input') continue;
    const at = head + index * paramSize;
    if (param.type === 'memref') param.size = readWord(bytes, at + 16);
    else {
      param.a = readWord(bytes, at + 8);
      param.b = readWord(bytes, at + 16);
      param.c = readWord(bytes, at + 24);
    }
  }
}

/** Words of 64 bits in two halves: numbers of 64 bits (BigInt) would be allocated for each. */
const half = 2 ** 32;

/** @param word an integer of at most 53 bits; a negative one as its complement to 2^64. */
function writeWord(bytes: Buffer, at: number, word: number): void {
  bytes.writeUInt32LE(word >>> 0, at);
  bytes.writeUInt32LE(Math.floor(word / half) >>> 0, at + 4);
}

function readWord(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * half;
}
