import { OpteeFfa } from '../../protocol/optee-ffa.js';
import { type MsgArg, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { lower32, upper32 } from '../../protocol/optee-smc.js';
import { pageSize } from '../../protocol/physical-memory.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { eachStep } from '../../tee/each-step.js';
import type { TeeContext } from '../../tee/tee-context.js';
import type { TeeVersion } from '../../tee/tee-driver.js';
import type { TeeParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { commsError } from '../../tee/teec-error.js';
import { ArgCache, type MessageSlot } from '../arg-cache.js';
import type { Call } from '../call.js';
import type { Optee } from '../optee.js';
import type { OpteeAbi } from '../optee-abi.js';
import { RpcServer } from '../rpc/rpc.js';
import type { RpcMemory } from '../rpc/rpc-memory.js';
import type { RpcState } from '../rpc/rpc-state.js';
import { toldOf } from '../unreachable.js';
import { yieldingCall } from '../yielding-call.js';
import { FfaCall, ffaAnswerInWords } from './ffa-call.js';
import type { FfaLink } from './ffa-link.js';
import { fromFfaMsgParam, toFfaMsgParam, updateFromFfaMsgParam } from './ffa-msg-param.js';
import type { FfaProbe } from './ffa-probe.js';

/** OP-TEE as an FF-A partition: Linux's ffa_abi.c. */
export class FfaAbi implements OpteeAbi, RpcMemory {
  readonly version: TeeVersion = { implementationId: 1, registeredMemory: true, memrefNull: true };
  readonly argCache: ArgCache;
  readonly rpcMemory: RpcMemory = this;
  readonly toMsgParam = toFfaMsgParam;
  readonly updateFromMsgParam = updateFromFfaMsgParam;
  private readonly rpc: RpcServer;
  /** Memory shared with OP-TEE, by global handle. */
  private readonly shared = new Map<number, TeeShm>();
  /** Memory that is being reclaimed. */
  private readonly returning = new Set<Promise<void>>();

  constructor(
    private readonly optee: Optee,
    private readonly link: FfaLink,
    { info, argOffset }: FfaProbe,
  ) {
    this.rpc = new RpcServer(optee, this);
    this.argCache = new ArgCache(
      () => this.allocate(pageSize),
      () => argOffset,
      info.rpcParamCount,
    );
  }

  call(call: Call, slot: MessageSlot): Promise<void> {
    const state: RpcState = { call, message: slot.rpcMessage(), pageList: undefined };
    return yieldingCall(this.optee, call, new FfaCall(this.optee, this.link, this.rpc, slot, state));
  }

  allocateShm(_context: TeeContext, size: number): Promise<TeeShm> {
    return this.allocate(size);
  }

  registerShm(_context: TeeContext, size: number): Promise<TeeShm> {
    return this.share(this.optee.pool.scatteredToRegister(size, (shm) => this.unshare(shm)));
  }

  async allocate(size: number): Promise<TeeShm> {
    return this.share(this.optee.pool.allocateToRegister(size, (shm) => this.unshare(shm)));
  }

  give(_state: RpcState, answer: MsgArg, shm: TeeShm): void {
    answer.setParam(0, OpteeMsgAttr.rmemOutput, 0, shm.size, shm.secureWorldId);
  }

  fromMsgParam(request: MsgArg, index: number): TeeParam {
    return fromFfaMsgParam(request, index, (id) => this.shared.get(id));
  }

  remove(): Promise<void> {
    return eachStep([
      () => this.argCache.dispose(),
      () => this.rpc.dispose(),
      () => Promise.allSettled(this.returning),
      () => (this.optee.ended ? undefined : this.link.close()),
    ]);
  }

  private async share(shm: TeeShm): Promise<TeeShm> {
    const { schedule } = this.optee;
    try {
      // Others may share and reclaim memory and make calls meanwhile.
      if (schedule.fine) await schedule.point(`memory ${shm.id}`, 'share its pages');
      const handle = await this.link.share(shm.pages ?? []);
      if (this.shared.has(handle) || handle === 0) {
        this.optee.violation(0, `shared memory got handle 0x${handle.toString(16)}, which is in use`);
        throw commsError(TeeResult.ERROR_COMMUNICATION, `sharing memory: handle 0x${handle.toString(16)} is in use`);
      }
      shm.secureWorldId = handle;
      this.shared.set(handle, shm);
      return shm;
    } catch (error) {
      const told = toldOf(error, this.optee, `sharing ${shm.size} bytes of memory`);
      await shm.put();
      throw told;
    }
  }

  /** Memory that secure world does not release stays allocated, because secure world could still write to it. */
  private unshare(shm: TeeShm): Promise<void> {
    const handle = shm.secureWorldId;
    // The memory was never shared.
    if (this.shared.get(handle) !== shm) return Promise.resolve();
    if (this.optee.ended) {
      // A dead secure world does not write to memory.
      this.shared.delete(handle);
      return Promise.resolve();
    }
    const returned = this.takeBack(handle).catch((error: unknown) => {
      // Secure world may have died during the request.
      if (this.optee.ended) {
        this.shared.delete(handle);
        return;
      }
      const told = toldOf(error, this.optee, 'reclaiming memory');
      this.optee.violation(0, told instanceof Error ? told.message : String(told));
      throw told;
    });
    this.returning.add(returned);
    const forget = () => this.returning.delete(returned);
    returned.then(forget, forget);
    return returned;
  }

  private async takeBack(handle: number): Promise<void> {
    const { a3 } = await this.link.direct(OpteeFfa.unregisterShm, lower32(handle), upper32(handle));
    if (a3 !== 0)
      throw commsError(
        TeeResult.ERROR_COMMUNICATION,
        `unregistering memory 0x${handle.toString(16)}: secure world answers ${ffaAnswerInWords(a3)}`,
      );
    const { schedule } = this.optee;
    // Secure world has released it, but it is not reclaimed yet.
    if (schedule.fine) await schedule.point(`memory ${this.shared.get(handle)?.id}`, 'reclaim its pages');
    await this.link.reclaim(handle);
    this.shared.delete(handle);
  }
}
