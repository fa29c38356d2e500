/**
 * The SMC interface of OP-TEE: function ids, return codes, RPC functions, capabilities.
 * Source of every value: optee_smc.h of OP-TEE/optee_os (core/arch/arm/include/sm/optee_smc.h).
 */

const fastCall = 0x8000_0000;
/** OPTEE_SMC_OWNER_TRUSTED_OS (50), shifted into bits 24..29 of a function id. */
const trustedOs = 50 << 24;
/** OPTEE_SMC_OWNER_TRUSTED_OS_API (63). */
const trustedOsApi = 63 << 24;

const fast = (func: number) => (fastCall | trustedOs | func) >>> 0;
const yielding = (func: number) => (trustedOs | func) >>> 0;
const api = (func: number) => (fastCall | trustedOsApi | func) >>> 0;

/** SMC function ids, register a0 of a call. */
export const OpteeSmc = {
  /** OPTEE_SMC_CALLS_UID */
  callsUid: api(0xff01),
  /** OPTEE_SMC_CALLS_REVISION */
  callsRevision: api(0xff03),
  /** OPTEE_SMC_CALL_GET_OS_UUID */
  getOsUuid: fast(0x0000),
  /** OPTEE_SMC_CALL_GET_OS_REVISION */
  getOsRevision: fast(0x0001),
  /** OPTEE_SMC_CALL_RETURN_FROM_RPC: resume a yielding call. a3..a7 must be returned as the RPC delivered them. */
  returnFromRpc: yielding(3),
  /** OPTEE_SMC_CALL_WITH_ARG: a1/a2 physical address of a message. */
  callWithArg: yielding(4),
  /** OPTEE_SMC_GET_SHM_CONFIG */
  getShmConfig: fast(7),
  /** OPTEE_SMC_EXCHANGE_CAPABILITIES */
  exchangeCapabilities: fast(9),
  /** OPTEE_SMC_DISABLE_SHM_CACHE */
  disableShmCache: fast(10),
  /** OPTEE_SMC_ENABLE_SHM_CACHE */
  enableShmCache: fast(11),
  /** OPTEE_SMC_GET_THREAD_COUNT */
  getThreadCount: fast(15),
  /** OPTEE_SMC_ENABLE_ASYNC_NOTIF */
  enableAsyncNotif: fast(16),
  /** OPTEE_SMC_GET_ASYNC_NOTIF_VALUE */
  getAsyncNotifValue: fast(17),
  /** OPTEE_SMC_CALL_WITH_RPC_ARG: like callWithArg, with an RPC message behind the first message. */
  callWithRpcArg: yielding(18),
  /** OPTEE_SMC_CALL_WITH_REGD_ARG: a1/a2 shared-memory cookie, a3 offset; an RPC message behind the first message. */
  callWithRegdArg: yielding(19),
} as const;

/**
 * Whether a call is fast. A yielding ("standard") call holds a thread context of secure world; a fast call needs none.
 */
export function isFastCall(functionId: number): boolean {
  return (functionId & fastCall) !== 0;
}

/** OPTEE_SMC_RETURN_*, register a0 on return. */
export const OpteeSmcReturn = {
  ok: 0,
  /** No thread context is free. */
  ethreadLimit: 1,
  ebusy: 2,
  /** A resume of a thread that is not suspended. */
  eresume: 3,
  ebadAddr: 4,
  ebadCmd: 5,
  enoMem: 6,
  enotAvail: 7,
  unknownFunction: 0xffff_ffff,
} as const;

/** OPTEE_SMC_RPC_FUNC_*: the requested RPC, in the low half of a0. */
export const OpteeSmcRpc = {
  /** a1: size in bytes. Answer: a1/a2 physical address (0 when out of memory), a4/a5 cookie. */
  alloc: 0,
  /** a1/a2: cookie. */
  free: 2,
  /** An interrupt for the normal world arrived during a yielding call. */
  foreignInterrupt: 4,
  /** a1/a2: cookie of a message; unused when the RPC message is behind the call's own message. */
  cmd: 5,
} as const;

const rpcPrefix = 0xffff_0000;

/** OPTEE_SMC_RPC_VAL: the value of a0 with which secure world requests an RPC. */
export function rpcReturn(func: number): number {
  return (rpcPrefix | func) >>> 0;
}

/** OPTEE_SMC_RETURN_IS_RPC. */
export function isRpcReturn(a0: number): boolean {
  return a0 !== OpteeSmcReturn.unknownFunction && (a0 & rpcPrefix) >>> 0 === rpcPrefix;
}

/** OPTEE_SMC_RETURN_GET_RPC_FUNC. */
export function rpcFunction(a0: number): number {
  return a0 & 0xffff;
}

/** OPTEE_SMC_SEC_CAP_*, a1 of the answer to EXCHANGE_CAPABILITIES. */
export const SecureWorldCapability = {
  reservedShm: 1 << 0,
  unregisteredShm: 1 << 1,
  dynamicShm: 1 << 2,
  virtualization: 1 << 3,
  memrefNull: 1 << 4,
  asyncNotif: 1 << 5,
  rpcArg: 1 << 6,
  rpmbProbe: 1 << 7,
  protMem: 1 << 8,
  dynamicProtMem: 1 << 9,
} as const;

/** OPTEE_SMC_NSEC_CAP_UNIPROCESSOR, a1 of EXCHANGE_CAPABILITIES. */
export const normalWorldUniprocessor = 1 << 0;

/** OPTEE_SMC_SHM_CACHED: the only cache setting that the reserved shared memory may have. */
export const shmCached = 1;

/** OPTEE_MSG_UID_0..3: 384fb3e0-e7f8-11e3-af63-0002a5d5c51b, the API of optee_msg.h. */
export const opteeApiUid = [0x384f_b3e0, 0xe7f8_11e3, 0xaf63_0002, 0xa5d5_c51b] as const;
/** OPTEE_MSG_OS_OPTEE_UUID_0..3. */
export const opteeOsUuid = [0x4861_78e0, 0xe7f8_11e3, 0xbc5e_0002, 0xa5d5_c51b] as const;
/** OPTEE_MSG_REVISION_MAJOR, _MINOR. */
export const opteeApiRevision = { major: 2, minor: 0 } as const;

/** OPTEE_SMC_ASYNC_NOTIF_VALID and _PENDING, a2 of the answer to GET_ASYNC_NOTIF_VALUE. */
export const asyncNotifValid = 1 << 0;
export const asyncNotifPending = 1 << 1;
/** OPTEE_SMC_ASYNC_NOTIF_VALUE_DO_BOTTOM_HALF: the notification value that requests bottom half processing. */
export const asyncNotifDoBottomHalf = 0;

/** The upper half of a 64-bit value carried in a register pair (the first register of the pair). */
export function upper32(value: number): number {
  return Math.floor(value / 0x1_0000_0000) >>> 0;
}

/** The lower half of a 64-bit value carried in a register pair (the second register of the pair). */
export function lower32(value: number): number {
  return value >>> 0;
}

/** The 64-bit value of a register pair. Inexact above 2^53, where none of our addresses and cookies is. */
export function fromRegisterPair(upper: number, lower: number): number {
  return upper * 0x1_0000_0000 + lower;
}

/** The name of a function id for messages: `CALL_WITH_REGD_ARG`; for an unknown id, its hexadecimal value. */
export function smcName(functionId: number): string {
  return smcNames.get(functionId) ?? `0x${functionId.toString(16).padStart(8, '0')}`;
}

const smcNames = new Map<number, string>(
  Object.entries(OpteeSmc).map(([name, id]) => [id, name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()]),
);

/** The name of a return code (a0) for messages: `UNKNOWN_FUNCTION`; for an unknown code, its hexadecimal value. */
export function smcReturnName(a0: number): string {
  return returnMeanings.get(a0)?.[0] ?? `0x${a0.toString(16).padStart(8, '0')}`;
}

/** A return code with value and meaning: `UNKNOWN_FUNCTION (0xffffffff: this OP-TEE does not know the function)`. */
export function smcReturnInWords(a0: number): string {
  const [name, meaning] = returnMeanings.get(a0) ?? [];
  const code = `0x${a0.toString(16)}`;
  return name === undefined ? `${code}, which OP-TEE does not define` : `${name} (${code}: ${meaning})`;
}

const returnMeanings = new Map<number, readonly [name: string, meaning: string]>([
  [OpteeSmcReturn.ok, ['OK', 'the message was processed']],
  [OpteeSmcReturn.ethreadLimit, ['ETHREAD_LIMIT', 'no thread context is free']],
  [OpteeSmcReturn.ebusy, ['EBUSY', 'refused while a thread is active']],
  [OpteeSmcReturn.eresume, ['ERESUME', 'the thread is not suspended']],
  [OpteeSmcReturn.ebadAddr, ['EBADADDR', 'the message is not in shared memory']],
  [OpteeSmcReturn.ebadCmd, ['EBADCMD', 'the message is malformed']],
  [OpteeSmcReturn.enoMem, ['ENOMEM', 'secure world has no memory for it']],
  [OpteeSmcReturn.enotAvail, ['ENOTAVAIL', 'not available, or no more']],
  [OpteeSmcReturn.unknownFunction, ['UNKNOWN_FUNCTION', 'this OP-TEE does not know the function']],
]);
