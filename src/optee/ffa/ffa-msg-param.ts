import { invalidGlobalId } from '../../protocol/optee-ffa.js';
import { attrTypeMask, type MsgArg, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { TeeParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { commsError } from '../../tee/teec-error.js';
import { directionOffset, fromMsgParam, toMsgParam, updateFromMsgParam } from '../msg-param.js';

/**
 * Parameters over FF-A. `struct optee_msg_param_fmem` has the same layout as a reference to registered memory if the
 * memory begins on a page boundary, as all of ours does; the global id takes the place of the cookie. Only a null
 * reference is encoded differently.
 */
export function toFfaMsgParam(msg: MsgArg, index: number, param: TeeParam): void {
  if (param.type !== 'memref' || param.shm !== null) {
    toMsgParam(msg, index, param);
    return;
  }
  msg.setParam(index, OpteeMsgAttr.rmemInput + directionOffset[param.direction], 0, param.size, 0);
  msg.octets(index).fill(0xff, 16);
}

/** @throws TeecError COMMUNICATION naming the parameter if its attribute was changed. */
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
 * A parameter of a request from secure world.
 * @param find finds shared memory by its global id.
 * @throws TeecError BAD_PARAMETERS naming the parameter and the value.
 */
export function fromFfaMsgParam(msg: MsgArg, index: number, find: (id: number) => TeeShm | undefined): TeeParam {
  const type = msg.attr(index) & attrTypeMask;
  if (type >= OpteeMsgAttr.tmemInput && type <= OpteeMsgAttr.tmemInout)
    throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `RPC parameter ${index} names memory by its address`);
  if (type < OpteeMsgAttr.rmemInput || msg.c(index) !== invalidGlobalId) return fromMsgParam(msg, index, { find });
  return fromMsgParam(withoutMemory(msg, index), index, { find });
}

/** The same null reference in the encoding of the SMC ABI. */
function withoutMemory(msg: MsgArg, index: number): MsgArg {
  msg.octets(index).fill(0, 16);
  return msg;
}
