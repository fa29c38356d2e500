import type { SmcRegisters } from '../../../protocol/conduit.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import { maxParamCount, msgArgSize } from '../../../protocol/optee-msg.js';
import { fromRegisterPair, OpteeSmc, OpteeSmcReturn, smcName } from '../../../protocol/optee-smc.js';
import { pageSize } from '../../../protocol/physical-memory.js';
import type { Core } from '../core/core.js';
import { putMobj, putMobjNow } from '../core/registered-shm.js';
import { Mobj } from '../memory/mobj.js';
import type { NonSecureMemory } from '../memory/non-secure-memory.js';
import { clearFileCache, freeRpcArg, rpcMaxParamCount } from '../rpc/thread-rpc.js';
import type { TaManager } from '../ta/ta-manager.js';
import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import { entryStd } from './entry-std.js';

/** The message of a call. */
interface FoundMessage {
  readonly message: MsgArg;
  /** OPTEE_MSG_ARG.num_params, read once. */
  readonly count: number;
  /** Memory for the thread's RPC messages, behind the call's own message. */
  readonly rpcArg: MsgArg | undefined;
  /** Referenced while the call runs. */
  readonly mobj: Mobj;
}

/** Offset of num_params in `struct optee_msg_arg`. */
const paramCountOffset = 28;
const rpcArgSize = msgArgSize(rpcMaxParamCount);

/**
 * A yielding call, from the entry of the thread to the return code of its last SMC. Source:
 * core/arch/arm/kernel/thread_optee_smc.c.
 */
export function* stdSmcEntry(core: Core, manager: TaManager, thread: Thread, call: SmcRegisters): Routine<number> {
  const found = findMessage(core, call);
  if (typeof found === 'number') {
    if (found === OpteeSmcReturn.ebadAddr) core.log(`bad message address in ${smcName(call.a0)}`);
    return found;
  }
  const { message, rpcArg } = found;
  core.faults.message?.(message);
  if (rpcArg !== undefined) {
    if (core.preallocRpcCache) yield* clearRpcArg(core, thread);
    thread.rpcArg = rpcArg;
  }
  const known = yield* entryStd(core, manager, thread, message, found.count);
  if (thread.shmCache !== undefined) yield* clearFileCache(core, thread);
  if (rpcArg !== undefined) thread.rpcArg = undefined;
  if (known && !core.preallocRpcCache && thread.rpcMobj !== undefined) yield* clearRpcArg(core, thread);
  if (found.mobj.kind === 'registered' && !putMobjNow(found.mobj)) yield* putMobj(core, thread, found.mobj);
  core.faults.answer?.(message, thread.id);
  return known ? OpteeSmcReturn.ok : OpteeSmcReturn.ebadCmd;
}

/** The message of a call, or the return code with which the call is refused. */
function findMessage(core: Core, call: SmcRegisters): FoundMessage | number {
  const { rpcArg, dynamicShm } = core.configuration;
  switch (call.a0) {
    case OpteeSmc.callWithArg:
      return messageAtAddress(core, fromRegisterPair(call.a1, call.a2), false);
    case OpteeSmc.callWithRpcArg:
      if (!rpcArg) break;
      return messageAtAddress(core, fromRegisterPair(call.a1, call.a2), true);
    case OpteeSmc.callWithRegdArg: {
      if (!rpcArg || !dynamicShm) break;
      const mobj = core.findShm(fromRegisterPair(call.a1, call.a2));
      if (mobj === undefined) return OpteeSmcReturn.ebadAddr;
      const found = messageIn(core.memory, mobj, call.a3, true);
      if (typeof found !== 'number') mobj.references++;
      return found;
    }
    default:
      break;
  }
  core.log(`unknown yielding call ${smcName(call.a0)}`);
  return OpteeSmcReturn.ebadCmd;
}

/** std_entry_with_parg(): the message is anywhere in the reserved memory, or at the start of another page. */
function messageAtAddress(core: Core, address: number, withRpcArg: boolean): FoundMessage | number {
  const { memory } = core;
  if (memory.isReservedShm(address, msgArgSize(0))) {
    const { reservedShm } = memory;
    const rest = reservedShm === undefined ? 0 : reservedShm.base + reservedShm.size - address;
    const mobj = Mobj.reserved(memory, address, rest, 0);
    return mobj === undefined ? OpteeSmcReturn.ebadAddr : messageIn(memory, mobj, 0, withRpcArg);
  }
  if (address % pageSize !== 0 || !core.configuration.dynamicShm) return OpteeSmcReturn.ebadAddr;
  const mobj = Mobj.registered(memory, [address], 0, 0);
  return mobj === undefined ? OpteeSmcReturn.ebadAddr : messageIn(memory, mobj, 0, withRpcArg);
}

/** get_msg_arg(). */
function messageIn(memory: NonSecureMemory, mobj: Mobj, offset: number, withRpcArg: boolean): FoundMessage | number {
  const address = mobj.addressOf(offset);
  const countAddress = mobj.addressOf(offset + paramCountOffset);
  if (address === undefined || address % 8 !== 0 || countAddress === undefined) return OpteeSmcReturn.ebadAddr;
  const count = memory.uint32(countAddress);
  if (count > maxParamCount) return OpteeSmcReturn.ebadAddr;
  const size = msgArgSize(count);
  // A message over non-adjacent pages is refused: OP-TEE maps them contiguously, the simulation does not.
  if (!mobj.contiguousAt(offset, withRpcArg ? size + rpcArgSize : size)) return OpteeSmcReturn.ebadAddr;
  const message = memory.message(address, size);
  return { message, count, rpcArg: withRpcArg ? memory.message(address + size, rpcArgSize) : undefined, mobj };
}

/** clear_prealloc_rpc_cache(). */
function* clearRpcArg(core: Core, thread: Thread): Routine<void> {
  const mobj = thread.rpcMobj;
  if (mobj === undefined) return;
  yield* freeRpcArg(core, thread, mobj.cookie);
  core.registeredShm.remove(mobj);
  thread.rpcArg = undefined;
  thread.rpcMobj = undefined;
}
