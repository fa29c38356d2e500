import type { TeeOrigin } from '../protocol/tee-result.js';
import { uuidOctets } from '../protocol/uuid.js';
import type { InvokeRequest, OpenSessionRequest, TeeReply } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import {
  InvokeArg,
  memrefNullId,
  OpenSessionArg,
  ParamAttr,
  paramCountAt,
  paramDirections,
  paramSize,
} from '../uapi/tee.js';

/** Requests of a client as the kernel takes them, and what came back in them. */

/** The argument of an INVOKE. */
export function invokeArgument({ command, session, cancelId }: InvokeRequest, params: readonly TeeParam[]): Buffer {
  const bytes = argument(InvokeArg.head, params);
  bytes.writeUInt32LE(command, InvokeArg.command);
  bytes.writeUInt32LE(session, InvokeArg.session);
  bytes.writeUInt32LE(cancelId, InvokeArg.cancelId);
  return bytes;
}

/** What came of it; parameters are updated in place. */
export function invokeReply(bytes: Buffer, params: readonly TeeParam[]): TeeReply {
  update(bytes, InvokeArg.head, params);
  return { result: bytes.readUInt32LE(InvokeArg.result), origin: bytes.readUInt32LE(InvokeArg.origin) as TeeOrigin };
}

/** The argument of an OPEN_SESSION. The client's UUID is the kernel's to compute; it is told the group of a group login. */
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

/** What came of it; parameters are updated in place. */
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
  for (const [index, param] of params.entries()) writeParam(bytes, head + index * paramSize, param);
  return bytes;
}

function writeParam(bytes: Buffer, at: number, param: TeeParam): void {
  const words = (...values: readonly (number | bigint)[]) => {
    for (const [index, value] of values.entries())
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at + 8 * index);
  };
  switch (param.type) {
    case 'none':
      return;
    case 'value':
      words(ParamAttr.valueInput + paramDirections.indexOf(param.direction), param.a, param.b, param.c);
      if (param.octets !== undefined) bytes.set(param.octets, at + 8);
      return;
    case 'memref': {
      const attr = ParamAttr.memrefInput + paramDirections.indexOf(param.direction);
      if (param.shm === null) words(attr, 0, param.size, memrefNullId);
      else words(attr, param.offset, param.size, param.shm.secureWorldId);
      return;
    }
  }
}

function update(bytes: Buffer, head: number, params: readonly TeeParam[]): void {
  params.forEach((param, index) => {
    const word = (position: number) => Number(bytes.readBigUInt64LE(head + index * paramSize + 8 * position));
    if (param.type === 'none' || param.direction === 'input') return;
    if (param.type === 'memref') param.size = word(2);
    else {
      param.a = word(1);
      param.b = word(2);
      param.c = word(3);
    }
  });
}
