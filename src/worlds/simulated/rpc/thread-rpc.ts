import type { SmcRegisters } from '../../../protocol/conduit.js';
import { attrNoncontig, MsgArg, msgArgSize, OpteeMsgAttr } from '../../../protocol/optee-msg.js';
import { RpcCommand, RpcFs, RpcNotification, RpcShmType, rpcCommandName } from '../../../protocol/optee-rpc-command.js';
import { fromRegisterPair, lower32, OpteeSmcRpc, upper32 } from '../../../protocol/optee-smc.js';
import { pageSize } from '../../../protocol/physical-memory.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { FfaShares } from '../memory/ffa-shares.js';
import { Mobj, type RegisteredShm } from '../memory/mobj.js';
import { mobjFromNoncontig } from '../memory/msg-param.js';
import type { NonSecureMemory } from '../memory/non-secure-memory.js';
import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';

/** THREAD_RPC_MAX_NUM_PARAMS. */
export const rpcMaxParamCount = 4;

/** The part of OP-TEE's core that RPCs use. */
export interface RpcCore {
  readonly configuration: { readonly ffa: boolean; readonly dynamicShm: boolean };
  readonly memory: NonSecureMemory;
  readonly registeredShm: RegisteredShm;
  /** Undefined with raw SMCs. */
  readonly ffaShares: FfaShares | undefined;
  /** Suspend a thread for an RPC: thread_rpc(). */
  rpc(thread: Thread, func: number, a1: number, a2: number, request: string, message?: MsgArg): Routine<SmcRegisters>;
  /** OP-TEE does not need this memory of the normal world any more. */
  forgetShm(mobj: Mobj): void;
  /** EMSG: log why a request was refused. */
  log(text: string): void;
}

/** Shared memory that the normal world allocated on request: thread_rpc_alloc_payload() and similar functions. */
export interface RpcMemory {
  readonly mobj: Mobj;
  readonly type: RpcShmType;
}

/** A parameter of an RPC command. Output values and sizes are written into it when the answer arrives. */
export type RpcParameter =
  | { readonly type: 'none' }
  /** An input of up to 24 octets that does not fit into numbers. */
  | { readonly type: 'octets'; readonly octets: Uint8Array }
  | { readonly type: 'value'; readonly direction: Direction; a: number; b: number; c: number }
  | {
      readonly type: 'memref';
      readonly direction: Direction;
      /** Undefined: a null memref, which requests the size needed. */
      readonly mobj: Mobj | undefined;
      readonly offset: number;
      size: number;
    };
/** The direction of a parameter, as seen by the receiver of the request. */
export type Direction = 'input' | 'output' | 'inout';

/** The offset of a direction from the `input` attribute of its kind, in OPTEE_MSG_ATTR_TYPE_*. */
const directionOffset = { input: 0, output: 1, inout: 2 } as const;

/** A value parameter of an RPC command. */
export function rpcValue(direction: Direction, a = 0, b = 0, c = 0): RpcParameter & { type: 'value' } {
  return { type: 'value', direction, a, b, c };
}

/** A memref parameter of an RPC command. */
export function rpcMemref(
  direction: Direction,
  mobj?: Mobj,
  size = mobj?.size ?? 0,
): RpcParameter & { type: 'memref' } {
  return { type: 'memref', direction, mobj, offset: 0, size };
}

/**
 * Wait for a notification value, or send it: notif_rpc(), OPTEE_RPC_CMD_NOTIFICATION.
 * @param timeoutMs limit of a wait in milliseconds; 0: no limit.
 * @returns the result code: TIMEOUT if the value was not sent within the limit.
 */
export function notificationRpc(
  core: RpcCore,
  thread: Thread,
  func: (typeof RpcNotification)[keyof typeof RpcNotification],
  value: number,
  timeoutMs = 0,
): Routine<number> {
  return rpcCommand(core, thread, RpcCommand.notification, [rpcValue('input', func, value, timeoutMs)]);
}

/** thread_rpc_cmd(): request a command from the normal world and wait for the answer. Returns the result code. */
export function* rpcCommand(core: RpcCore, thread: Thread, command: number, params: RpcParameter[]): Routine<number> {
  const message = yield* rpcMessage(core, thread, command, params);
  if (typeof message === 'number') return message;
  yield* ask(core, thread, message, command, params);
  params.forEach((param, index) => {
    if (param.type === 'none' || param.type === 'octets' || param.direction === 'input') return;
    if (param.type === 'value') {
      param.a = message.a(index);
      param.b = message.b(index);
      param.c = message.c(index);
    } else param.size = message.b(index);
  });
  return message.ret;
}

function* ask(
  core: RpcCore,
  thread: Thread,
  message: MsgArg,
  command: number,
  params: readonly RpcParameter[],
): Routine<void> {
  const cookie = thread.rpcMobj?.cookie ?? 0;
  const request = describe(command, params);
  yield* core.rpc(thread, OpteeSmcRpc.cmd, upper32(cookie), lower32(cookie), request, message);
}

/** get_rpc_arg(): the thread's RPC message, filled with a request; an error code if there is no memory for it. */
function* rpcMessage(
  core: RpcCore,
  thread: Thread,
  command: number,
  params: readonly RpcParameter[],
): Routine<MsgArg | number> {
  if (params.length > rpcMaxParamCount) return TeeResult.ERROR_BAD_PARAMETERS;
  if (thread.rpcArg === undefined) {
    const mobj = yield* allocateRpcArg(core, thread, msgArgSize(rpcMaxParamCount));
    const bytes = mobj?.window(0, msgArgSize(rpcMaxParamCount));
    if (mobj === undefined || bytes === undefined) return TeeResult.ERROR_OUT_OF_MEMORY;
    thread.rpcMobj = mobj;
    thread.rpcArg = new MsgArg(bytes);
  }
  const message = thread.rpcArg;
  message.reset(params.length);
  message.cmd = command;
  message.ret = TeeResult.ERROR_GENERIC;
  for (const [index, param] of params.entries())
    if (!writeParam(core, message, index, param)) return TeeResult.ERROR_BAD_PARAMETERS;
  return message;
}

function writeParam(core: RpcCore, message: MsgArg, index: number, param: RpcParameter): boolean {
  if (param.type === 'none') return true;
  if (param.type === 'octets') {
    message.setParam(index, OpteeMsgAttr.valueInput, 0, 0, 0);
    message.octets(index).set(param.octets);
    return true;
  }
  const direction = directionOffset[param.direction];
  if (param.type === 'value') {
    message.setParam(index, OpteeMsgAttr.valueInput + direction, param.a, param.b, param.c);
    return true;
  }
  const { mobj, offset, size } = param;
  if (mobj === undefined) {
    const type = core.configuration.ffa ? OpteeMsgAttr.rmemInput : OpteeMsgAttr.tmemInput;
    message.setParam(index, type + direction, 0, size, 0);
    if (core.configuration.ffa) message.octets(index).fill(0xff, 16);
    return true;
  }
  // Without a cookie the normal world could not identify the memory.
  if (mobj.cookie === 0) return false;
  if (mobj.kind === 'registered') {
    message.setParam(index, OpteeMsgAttr.rmemInput + direction, offset, size, mobj.cookie);
    return true;
  }
  const address = mobj.addressOf(offset);
  if (address === undefined) return false;
  message.setParam(index, OpteeMsgAttr.tmemInput + direction, address, size, mobj.cookie);
  return true;
}

/** thread_rpc_alloc_arg(): memory for RPC messages, by OPTEE_SMC_RPC_FUNC_ALLOC. */
function* allocateRpcArg(core: RpcCore, thread: Thread, size: number): Routine<Mobj | undefined> {
  const answer = yield* core.rpc(thread, OpteeSmcRpc.alloc, size, 0, 'ALLOC');
  const address = fromRegisterPair(answer.a1, answer.a2);
  const cookie = fromRegisterPair(answer.a4, answer.a5);
  const mobj = address % 8 === 0 ? rpcMobj(core, address, size, cookie) : undefined;
  if (mobj === undefined) {
    core.log(`RPC ALLOC gave no memory: address 0x${address.toString(16)}, cookie 0x${cookie.toString(16)}`);
    yield* freeRpcArg(core, thread, cookie);
  }
  return mobj;
}

/** thread_rpc_free_arg(): OPTEE_SMC_RPC_FUNC_FREE. */
export function* freeRpcArg(core: RpcCore, thread: Thread, cookie: number): Routine<void> {
  if (cookie !== 0) yield* core.rpc(thread, OpteeSmcRpc.free, upper32(cookie), lower32(cookie), 'FREE');
}

/** rpc_shm_mobj_alloc(): contiguous memory that the normal world returned from an RPC. */
function rpcMobj(core: RpcCore, address: number, size: number, cookie: number): Mobj | undefined {
  const reserved = Mobj.reserved(core.memory, address, size, cookie);
  if (reserved !== undefined) return reserved;
  if (!core.configuration.dynamicShm || address % pageSize !== 0 || size > pageSize) return undefined;
  return register(core, Mobj.registered(core.memory, [address], 0, cookie));
}

function register(core: RpcCore, mobj: Mobj | undefined): Mobj | undefined {
  if (mobj !== undefined) core.registeredShm.add(mobj);
  return mobj;
}

/**
 * Request shared memory from the normal world (OPTEE_RPC_CMD_SHM_ALLOC). Undefined if it returned none, or unusable
 * memory.
 */
export function* allocateRpcMemory(
  core: RpcCore,
  thread: Thread,
  size: number,
  type: RpcShmType = RpcShmType.appl,
): Routine<RpcMemory | undefined> {
  const params = [rpcValue('input', type, size, 8)];
  const message = yield* rpcMessage(core, thread, RpcCommand.shmAlloc, params);
  if (typeof message === 'number') return undefined;
  yield* ask(core, thread, message, RpcCommand.shmAlloc, params);

  // Each word of the answer is read once.
  const attr = message.paramCount === 1 && message.ret === TeeResult.SUCCESS ? message.attr(0) : Number.NaN;
  const noncontig = !core.configuration.ffa && attr === (OpteeMsgAttr.tmemOutput | attrNoncontig);
  const expected = core.configuration.ffa ? OpteeMsgAttr.rmemOutput : OpteeMsgAttr.tmemOutput;
  if (attr !== expected && !noncontig) {
    core.log('RPC SHM_ALLOC was refused');
    return undefined;
  }
  const address = message.a(0);
  const given = message.b(0);
  const cookie = message.c(0);
  if (!(given >= size)) {
    core.log(`RPC SHM_ALLOC gave ${given} bytes where ${size} were requested`);
    return undefined;
  }
  const mobj = core.configuration.ffa
    ? core.ffaShares?.retrieve(cookie)
    : noncontig
      ? register(core, mobjFromNoncontig(core.memory, address, given, cookie))
      : rpcMobj(core, address, given, cookie);
  if (mobj !== undefined) return { mobj, type };
  core.log(`RPC SHM_ALLOC gave unusable memory: address 0x${address.toString(16)}, ${given} bytes`);
  yield* askToFree(core, thread, type, cookie);
  return undefined;
}

/** thread_rpc_free(): release it (OPTEE_RPC_CMD_SHM_FREE). */
export function* freeRpcMemory(core: RpcCore, thread: Thread, memory: RpcMemory): Routine<void> {
  core.forgetShm(memory.mobj);
  yield* askToFree(core, thread, memory.type, memory.mobj.cookie);
}

/** thread_rpc_shm_cache_alloc(): memory for the file operations of one call, kept until the call ends. */
export function* fileCache(core: RpcCore, thread: Thread, size: number): Routine<Mobj | undefined> {
  const cached = thread.shmCache;
  if (cached !== undefined && cached.size >= size) return cached;
  yield* clearFileCache(core, thread);
  const memory = yield* allocateRpcMemory(core, thread, Math.ceil(size / pageSize) * pageSize);
  thread.shmCache = memory?.mobj;
  return memory?.mobj;
}

/** thread_rpc_shm_cache_clear(). */
export function* clearFileCache(core: RpcCore, thread: Thread): Routine<void> {
  const mobj = thread.shmCache;
  thread.shmCache = undefined;
  if (mobj !== undefined) yield* freeRpcMemory(core, thread, { mobj, type: RpcShmType.appl });
}

function* askToFree(core: RpcCore, thread: Thread, type: RpcShmType, cookie: number): Routine<void> {
  yield* rpcCommand(core, thread, RpcCommand.shmFree, [rpcValue('input', type, cookie)]);
}

function describe(command: number, params: readonly RpcParameter[]): string {
  const name = rpcCommandName(command);
  const first = params[0];
  if (first?.type !== 'value') return name;
  if (command === RpcCommand.notification)
    return `${name} ${first.a === RpcNotification.wait ? 'WAIT' : 'SEND'} ${first.b}`;
  if (command === RpcCommand.fs)
    return `${name} ${Object.entries(RpcFs).find(([, id]) => id === first.a)?.[0] ?? first.a}`;
  return name;
}
