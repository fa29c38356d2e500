import type { MsgArg } from '../protocol/optee-msg.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeVersion } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import type { MessageSlot } from './arg-cache.js';
import type { Call } from './call.js';
import type { RpcMemory } from './rpc/rpc-memory.js';

/**
 * The differences between OP-TEE's SMC and FF-A interfaces: Linux's `struct optee_ops`, and how memory is shared with
 * secure world.
 */
export interface OpteeAbi {
  readonly version: TeeVersion;

  /**
   * Send a message to secure world, serve its RPCs, and return when the call is complete.
   * @throws TeecError COMMUNICATION if secure world refused the message or cannot be reached; the message then contains
   * no answer.
   */
  call(call: Call, slot: MessageSlot): Promise<void>;

  /** Write a parameter into a message. */
  toMsgParam(msg: MsgArg, index: number, param: TeeParam): void;
  /** Copy the outputs of a parameter. @throws TeecError COMMUNICATION if secure world changed more than it may. */
  updateFromMsgParam(msg: MsgArg, index: number, param: TeeParam): void;

  /**
   * Allocate contiguous memory that is shared with secure world.
   * @param system the memory is for calls of a system session: registering it must not wait behind normal calls.
   * @throws TeecError
   */
  allocateShm(context: TeeContext, size: number, system: boolean): Promise<TeeShm>;
  /** The same with single pages. @throws TeecError */
  registerShm(context: TeeContext, size: number, system: boolean): Promise<TeeShm>;

  /** Memory in RPC messages. */
  readonly rpcMemory: RpcMemory;

  /** Announce the driver's removal to secure world, and free the memory that secure world kept. */
  remove(): Promise<void>;
}
