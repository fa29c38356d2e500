import { type Uuid, uuidOctets } from '../../protocol/uuid.js';
import {
  CancelArg,
  InvokeArg,
  memrefNullId,
  OpenSessionArg,
  ParamAttr,
  paramCountAt,
  paramDirections,
  paramSize,
} from '../../uapi/tee.js';
import { type FuzzValue, recordOf, type Step } from '../input/grammar.js';

/** Maps the session and memory numbers of steps to the ids that the server assigned. */
export interface Names {
  session(named: FuzzValue | undefined): number;
  memory(named: FuzzValue | undefined): number;
}

/** struct tee_ioctl_invoke_arg with the fields of a step. */
export function invokeArgument({ command, session, cancel, parameters, more }: Step, names: Names): Buffer {
  const bytes = withParameters(InvokeArg.head, parameters, more, names);
  bytes.writeUInt32LE(Number(command), InvokeArg.command);
  bytes.writeUInt32LE(names.session(session), InvokeArg.session);
  bytes.writeUInt32LE(Number(cancel), InvokeArg.cancelId);
  return bytes;
}

/** struct tee_ioctl_open_session_arg with the fields of a step. */
export function openArgument({ login, cancel, parameters, more }: Step, uuid: Uuid, names: Names): Buffer {
  const bytes = withParameters(OpenSessionArg.head, parameters, more, names);
  bytes.set(uuidOctets(uuid), OpenSessionArg.uuid);
  bytes.writeUInt32LE(Number(login), OpenSessionArg.clientLogin);
  bytes.writeUInt32LE(Number(cancel), OpenSessionArg.cancelId);
  return bytes;
}

/** struct tee_ioctl_cancel_arg */
export function cancelArgument({ session, cancel }: Step, names: Names): Buffer {
  const bytes = Buffer.alloc(CancelArg.size);
  bytes.writeUInt32LE(Number(cancel), CancelArg.cancelId);
  bytes.writeUInt32LE(names.session(session), CancelArg.session);
  return bytes;
}

/** struct tee_ioctl_close_session_arg */
export function closeArgument({ session }: Step, names: Names): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(names.session(session));
  return bytes;
}

/** struct tee_ioctl_shm_alloc_data; the server sets the id. */
export function allocateArgument({ size, flags }: Step): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt(Number(size)), 0);
  bytes.writeUInt32LE(Number(flags), 8);
  return bytes;
}

/** struct tee_ioctl_shm_register_data, followed by how the preload library shares the buffer. */
export function registerArgument({ address, size, flags, way, pages }: Step): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeBigUInt64LE(BigInt(Number(address)), 0);
  bytes.writeBigUInt64LE(BigInt(Number(size)), 8);
  bytes.writeUInt32LE(Number(flags), 16);
  bytes.writeUInt32LE(Number(way), 24);
  bytes.writeUInt32LE(Number(pages), 28);
  return bytes;
}

function withParameters(head: number, given: FuzzValue | undefined, more: FuzzValue | undefined, names: Names): Buffer {
  const list = Array.isArray(given) ? (given as readonly FuzzValue[]) : [];
  const bytes = Buffer.alloc(head + list.length * paramSize);
  bytes.writeUInt32LE((list.length + Number(more)) % 2 ** 32, paramCountAt(head));
  list.forEach((each, index) => {
    for (const [place, wide] of parameterWords(each, names).entries())
      bytes.writeBigUInt64LE(BigInt.asUintN(64, wide), head + index * paramSize + place * 8);
  });
  return bytes;
}

/** struct tee_ioctl_param: the attribute and three 64-bit words. */
function parameterWords(given: FuzzValue, names: Names): readonly bigint[] {
  const { kind, direction, attr, a, b, c, memory, offset, size } = recordOf(given) ?? {};
  const way = (paramDirections as readonly unknown[]).indexOf(direction);
  const wide = (each: FuzzValue | undefined) => BigInt(Number(each));
  switch (kind) {
    case 'value':
      return [BigInt(ParamAttr.valueInput + way), wide(a), wide(b), wide(c)];
    case 'memory':
      return [BigInt(ParamAttr.memrefInput + way), wide(offset), wide(size), BigInt(names.memory(memory))];
    case 'null':
      return [BigInt(ParamAttr.memrefInput + way), 0n, wide(size), memrefNullId];
    case 'words':
      return [wide(attr), wide(a), wide(b), wide(c)];
    default:
      return [];
  }
}
