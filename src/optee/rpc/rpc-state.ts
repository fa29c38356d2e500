import type { MsgArg } from '../../protocol/optee-msg.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import type { Call } from '../call.js';

/** What one call keeps between its RPCs: Linux's `struct optee_call_ctx`. */
export interface RpcState {
  readonly call: Call;
  /** The RPC message behind the call's own; undefined when secure world names one by cookie. */
  readonly message: MsgArg | undefined;
  /** The page list of the last SHM_ALLOC: secure world reads it after it resumed. */
  pageList: TeeShm | undefined;
}
