import { invalidGlobalId } from '../../protocol/optee-ffa.js';
import { attrTypeMask, type MsgArg, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { TeeParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { commsError } from '../../tee/teec-error.js';
import { directionOffset, fromMsgParam, toMsgParam, updateFromMsgParam } from '../msg-param.js';

/**
 * Parameters over FF-A. `struct optee_msg_param_fmem` is laid out like a reference to registered memory as long as the
 * memory begins on a page, as all of ours does; the global id stands for the cookie. Only "no memory" is told otherwise.
 */
export function toFfaMsgParam(msg: MsgArg, index: number, param: TeeParam): void {
  if (param.type !== 'memref' || param.shm !== null) {
    toMsgParam(msg, index, param);
    return;
  }
  msg.setParam(index, OpteeMsgAttr.rmemInput + directionOffset[param.direction], 0, param.size, 0);
  msg.octets(index).fill(0xff, 16);
}

/** @throws TeecError COMMUNICATION naming the parameter when its attribute came back changed. */
export function updateFromFfaMsgParam(msg: MsgArg, index: number, param: TeeParam): void {
  if (param.type !== 'memref' || param.shm !== null) {
    updateFromMsgParam(msg, index, param);
    return;
  }
  const type = msg.attr(index) & attrTypeMask;
  if (!(type >= OpteeMsgAttr.rmemInput && type <= OpteeMsgAttr.rmemInout))
    throw commsError(
      TeeResult.ERROR_COMMUNICATION,
      `parameter ${index} was sent as a null memory reference and returned with attribute 0x${type.toString(16)}`,
    );
  if (param.direction !== 'input') param.size = msg.b(index);
}

/**
 * A parameter of a request that secure world makes.
 * @param find shared memory by its global id.
 * @throws TeecError BAD_PARAMETERS naming the parameter and the value.
 */
export function fromFfaMsgParam(msg: MsgArg, index: number, find: (id: number) => TeeShm | undefined): TeeParam {
  const type = msg.attr(index) & attrTypeMask;
  if (type >= OpteeMsgAttr.tmemInput && type <= OpteeMsgAttr.tmemInout)
    throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `RPC parameter ${index} names memory by its address`);
  if (type < OpteeMsgAttr.rmemInput || msg.c(index) !== invalidGlobalId) return fromMsgParam(msg, index, { find });
  return fromMsgParam(withoutMemory(msg, index), index, { find });
}

/** The SMC ABI's way to say the same. */
function withoutMemory(msg: MsgArg, index: number): MsgArg {
  msg.octets(index).fill(0, 16);
  return msg;
}
