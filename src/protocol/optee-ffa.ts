/**
 * OP-TEE as an FF-A partition: its service ids, a3 of a direct message. Source of every value: optee_ffa.h of
 * OP-TEE/optee_os (core/arch/arm/include/optee_ffa.h).
 */
import type { Uuid } from './uuid.js';

/** The UUID of OP-TEE's partition (OPTEE_MSG_OS_OPTEE_UUID). */
export const opteePartitionUuid: Uuid = '486178e0-e7f8-11e3-bc5e-0002a5d5c51b';

const yieldingCall = 0x8000_0000;

/** Services: OPTEE_FFA_*. A blocking call needs no thread context; a yielding call holds one. */
export const OpteeFfa = {
  /** Answer: a3 major, a4 minor. */
  getApiVersion: 0,
  /** Answer: a3 major, a4 minor, a5 build id. */
  getOsVersion: 1,
  /** Answer: a3 error, a4 RPC parameters (bits 7:0), a5 capabilities, a6 largest notification value. */
  exchangeCapabilities: 2,
  /** a4/a5 handle. Answer: a3 error. */
  unregisterShm: 3,
  /** a4 the notification value that requests bottom half processing. Answer: a3 error. */
  enableAsyncNotif: 5,
  /** a4/a5 handle, a6 offset of the message. */
  yieldingCallWithArg: yieldingCall,
  /** a7 the value that the RPC returned in a7. */
  yieldingCallResume: yieldingCall + 1,
} as const;

/** OPTEE_FFA_YIELDING_CALL_RETURN_*, a4 of the answer to a yielding call. */
export const OpteeFfaReturn = { done: 0, rpcCommand: 1, interrupt: 2 } as const;

/** OPTEE_FFA_SEC_CAP_* */
export const OpteeFfaCapability = {
  argOffset: 1 << 0,
  asyncNotif: 1 << 1,
  rpmbProbe: 1 << 2,
} as const;

/** OPTEE_FFA_VERSION_MAJOR, _MINOR. */
export const opteeFfaApiVersion = { major: 1, minor: 0 } as const;

/** OPTEE_FFA_MAX_ASYNC_NOTIF_VALUE: notifications are bits of a 64-bit map. */
export const opteeFfaNotificationCount = 64;

/** OPTEE_MSG_FMEM_INVALID_GLOBAL_ID (no memory), as a 64-bit field is read into a number. */
export const invalidGlobalId = 2 ** 64;
