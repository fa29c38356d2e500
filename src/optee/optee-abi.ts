import type { MsgArg } from '../protocol/optee-msg.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeVersion } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { MessageSlot } from './arg-cache.js';
import type { Call } from './call.js';
import type { RpcMemory } from './rpc/rpc-memory.js';

/**
 * What differs between the SMC and the FF-A interface of OP-TEE: Linux's `struct optee_ops`, and how shared memory is
 * made known to secure world.
 */
export interface OpteeAbi {
  readonly version: TeeVersion;

  /**
   * Carry a message to secure world, serve the RPCs that come back, return when the call is over.
   * @throws TeecError COMMUNICATION when secure world refused the message or cannot be reached: what the message holds
   *   then is not an answer.
   */
  call(call: Call, slot: MessageSlot): Promise<void>;

  /** Write a parameter into a message. */
  toMsgParam(msg: MsgArg, index: number, param: TeeParam): void;
  /** Take over what came back in it. @throws TeecError COMMUNICATION when that is not what was sent. */
  updateFromMsgParam(msg: MsgArg, index: number, param: TeeParam): void;

  /**
   * Contiguous memory known to secure world.
   * @param system it is for calls of a system session: what makes it known must not wait behind normal calls.
   * @throws TeecError
   */
  allocateShm(context: TeeContext, size: number, system: boolean): Promise<TeeShm>;
  /** Scattered memory known to secure world, likewise. @throws TeecError */
  registerShm(context: TeeContext, size: number, system: boolean): Promise<TeeShm>;

  /** Memory of RPCs. */
  readonly rpcMemory: RpcMemory;

  /** Tell secure world that the driver goes, and give back what was kept for it. */
  remove(): Promise<void>;
}
