import { attrMeta, attrNoncontig, attrTypeMask, type MsgArg, OpteeMsgAttr } from '../protocol/optee-msg.js';
import { TeeResult } from '../protocol/tee-result.js';
import { noneParam, type ParamDirection, type TeeMemrefParam, type TeeParam } from '../tee/tee-param.js';
import { commsError } from '../tee/teec-error.js';
import type { ShmPool } from './shm-pool.js';

/** The offset of a direction from the `…Input` attribute of its type. */
export const directionOffset = { input: 0, output: 1, inout: 2 } as const satisfies Record<ParamDirection, number>;
const directions: readonly ParamDirection[] = ['input', 'output', 'inout'];

const maxExact = Number.MAX_SAFE_INTEGER;

/** The attribute of a parameter in a message of the SMC ABI. */
function attrOf(param: TeeParam): number {
  switch (param.type) {
    case 'none':
      return OpteeMsgAttr.none;
    case 'value':
      return OpteeMsgAttr.valueInput + directionOffset[param.direction];
    case 'memref':
      return memrefAttr(param) + directionOffset[param.direction];
    default:
      return param satisfies never;
  }
}

/**
 * Registered memory is identified by its cookie, reserved memory by its address. A null memory reference has neither;
 * it is sent as a temporary one, as in Linux.
 */
function memrefAttr(param: TeeMemrefParam): number {
  return param.shm?.kind === 'registered' ? OpteeMsgAttr.rmemInput : OpteeMsgAttr.tmemInput;
}

/** Write a parameter of a request into its message: Linux's `optee_to_msg_param()`. */
export function toMsgParam(msg: MsgArg, index: number, param: TeeParam): void {
  switch (param.type) {
    case 'none':
      msg.setParam(index, OpteeMsgAttr.none, 0, 0, 0);
      break;
    case 'value':
      msg.setParam(index, attrOf(param), param.a, param.b, param.c);
      if (param.octets !== undefined) msg.octets(index).set(param.octets);
      break;
    case 'memref':
      if (param.shm === null) msg.setParam(index, attrOf(param), 0, param.size, 0);
      else if (param.shm.kind === 'registered')
        msg.setParam(index, attrOf(param), param.offset, param.size, param.shm.secureWorldId);
      else msg.setParam(index, attrOf(param), param.shm.address + param.offset, param.size, param.shm.id);
      break;
    default:
      param satisfies never;
  }
}

/**
 * Copy the outputs of a parameter. Secure world may change the words of a value and the size of a memory reference,
 * nothing else.
 * @throws TeecError COMMUNICATION naming the parameter if its attribute was changed.
 */
export function updateFromMsgParam(msg: MsgArg, index: number, param: TeeParam): void {
  const attr = msg.attr(index);
  if ((attr & attrTypeMask) !== attrOf(param))
    throw commsError(
      TeeResult.ERROR_COMMUNICATION,
      `parameter ${index} was sent with attribute 0x${attrOf(param).toString(16)} and returned with ${Number.isNaN(attr) ? 'one beyond 32 bits' : `0x${attr.toString(16)}`}`,
    );
  if (param.type === 'none' || param.direction === 'input') return;
  if (param.type === 'value') {
    param.a = msg.a(index);
    param.b = msg.b(index);
    param.c = msg.c(index);
    // Larger words are not exact as numbers; then only the octets are used.
    const exact = param.a <= maxExact && param.b <= maxExact && param.c <= maxExact;
    param.octets = exact ? undefined : msg.octets(index).slice();
  } else {
    param.size = msg.b(index);
  }
}

/**
 * Read a parameter of a request from secure world: Linux's `optee_from_msg_param()`. All its fields are checked: memory
 * that it refers to must exist and contain the range.
 * @param msg a private copy that secure world cannot change.
 * @throws TeecError BAD_PARAMETERS naming the parameter and the value.
 */
export function fromMsgParam(msg: MsgArg, index: number, pool: Pick<ShmPool, 'find'>): TeeParam {
  const attr = msg.attr(index);
  const type = attr & attrTypeMask;
  if (Number.isNaN(attr) || (attr & ~(attrTypeMask | attrNoncontig)) !== 0 || (attr & attrMeta) !== 0)
    throw badRpcParam(index, `has attribute 0x${attr.toString(16)}`);
  if (type === OpteeMsgAttr.none) return noneParam;
  const direction = directions[(type & 3) - 1];
  if (direction === undefined) throw badRpcParam(index, `has attribute 0x${attr.toString(16)}`);
  if (type <= OpteeMsgAttr.valueInout)
    return { type: 'value', direction, a: msg.a(index), b: msg.b(index), c: msg.c(index), octets: msg.octets(index) };
  const temporary = type >= OpteeMsgAttr.tmemInput && type <= OpteeMsgAttr.tmemInout;
  if (!temporary && !(type >= OpteeMsgAttr.rmemInput && type <= OpteeMsgAttr.rmemInout))
    throw badRpcParam(index, `has attribute 0x${attr.toString(16)}`);
  const size = msg.b(index);
  const cookie = msg.c(index);
  // A memory reference without memory asks for a size (used by LOAD_TA).
  if (cookie === 0) {
    // The size could otherwise not be checked against any memory, but would be allocated while the request is served.
    if (size !== 0) throw badRpcParam(index, `refers to ${size} bytes without memory`);
    return { type: 'memref', direction, shm: null, offset: 0, size };
  }
  const shm = pool.find(cookie);
  if (shm === undefined) throw badRpcParam(index, `names shared memory 0x${cookie.toString(16)}, which does not exist`);
  const offset = temporary ? msg.a(index) - shm.address : msg.a(index);
  if (!(offset >= 0 && size >= 0 && offset + size <= shm.size))
    throw badRpcParam(index, `offset ${offset}, ${size} bytes, is outside its shared memory of ${shm.size} bytes`);
  return { type: 'memref', direction, shm, offset, size };
}

function badRpcParam(index: number, what: string) {
  return commsError(TeeResult.ERROR_BAD_PARAMETERS, `RPC parameter ${index} ${what}`);
}
