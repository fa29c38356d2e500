import type { MsgArg } from '../../protocol/optee-msg.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import type { Call } from '../call.js';

/** The state of a call between its RPCs: Linux's `struct optee_call_ctx`. */
export interface RpcState {
  readonly call: Call;
  /** The RPC message behind the call's own message; undefined if secure world refers to one by cookie. */
  readonly message: MsgArg | undefined;
  /** The page list of the last SHM_ALLOC, which secure world reads after it was resumed. */
  pageList: TeeShm | undefined;
}
