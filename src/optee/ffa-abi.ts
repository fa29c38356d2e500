import { ConduitError, type SmcRegisters } from '../protocol/conduit.js';
import { FfaError } from '../protocol/ffa.js';
import { OpteeFfa, OpteeFfaReturn } from '../protocol/optee-ffa.js';
import { type MsgArg, OpteeMsgAttr } from '../protocol/optee-msg.js';
import { lower32, OpteeSmc, OpteeSmcReturn, OpteeSmcRpc, rpcReturn, smcName, upper32 } from '../protocol/optee-smc.js';
import { pageSize } from '../protocol/physical-memory.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeVersion } from '../tee/tee-driver.js';
import type { TeeParam } from '../tee/tee-param.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { commsError } from '../tee/teec-error.js';
import { ArgCache, type MessageSlot } from './arg-cache.js';
import { CallWaiter } from './call-queue/call-queue.js';
import { waitTurn } from './call-queue/wait-turn.js';
import type { FfaLink } from './ffa-link.js';
import { fromFfaMsgParam, toFfaMsgParam, updateFromFfaMsgParam } from './ffa-msg-param.js';
import type { FfaProbe } from './ffa-probe.js';
import type { Optee } from './optee.js';
import type { Call, OpteeAbi } from './optee-abi.js';
import { RpcServer, type RpcState } from './rpc.js';
import type { RpcMemory } from './rpc-memory.js';

/** OP-TEE as an FF-A partition: Linux's ffa_abi.c. */
export class FfaAbi implements OpteeAbi, RpcMemory {
  readonly version: TeeVersion = { implementationId: 1, registeredMemory: true, memrefNull: true };
  readonly argCache: ArgCache;
  readonly rpcMemory: RpcMemory = this;
  readonly toMsgParam = toFfaMsgParam;
  readonly updateFromMsgParam = updateFromFfaMsgParam;
  private readonly rpc: RpcServer;
  /** Memory that is shared with OP-TEE, by its global handle. */
  private readonly shared = new Map<number, TeeShm>();
  /** Memory that is on its way back. */
  private readonly returning = new Set<Promise<void>>();

  constructor(
    private readonly optee: Optee,
    private readonly link: FfaLink,
    { info, argOffset }: FfaProbe,
  ) {
    this.rpc = new RpcServer(optee, this);
    this.argCache = new ArgCache(() => this.allocate(pageSize), argOffset, info.rpcParamCount);
  }

  async call(call: Call, slot: MessageSlot): Promise<void> {
    const { callQueue, trace, clock, schedule } = this.optee;
    const { msg } = slot;
    const handle = slot.shm.secureWorldId;
    const rpcState: RpcState = { call, message: slot.rpcMessage(msg.paramCount), pageList: undefined };
    const waiter = new CallWaiter(call.id);
    let step = callQueue.enter(waiter, call.system);
    let entersAtOnce = step === 'call' && !schedule.decides;
    if (trace.on)
      trace.callBegin(
        call.id,
        call.context.label,
        call.purpose,
        call.session,
        call.system,
        entersAtOnce ? OpteeSmc.callWithRegdArg : 0,
      );
    if (step !== 'call') await waitTurn(callQueue, waiter, step, clock, schedule, trace);
    let resuming = false;
    let resumeInfo = 0;
    let smcReturn: number = OpteeSmcReturn.unknownFunction;
    let back = false;
    try {
      for (;;) {
        const functionId = resuming ? OpteeSmc.returnFromRpc : OpteeSmc.callWithRegdArg;
        if (schedule.decides) await schedule.point(`call ${call.id}`, smcName(functionId));
        if (trace.on && !entersAtOnce) trace.worldEnter(call.id, functionId);
        entersAtOnce = false;
        const answer = resuming
          ? this.link.direct(OpteeFfa.yieldingCallResume, 0, 0, 0, resumeInfo)
          : this.link.direct(OpteeFfa.yieldingCallWithArg, lower32(handle), upper32(handle), slot.offset);
        const returned = answer instanceof Promise ? await answer : answer;
        smcReturn = smcReturnOf(returned);
        if (smcReturn === OpteeSmcReturn.ok) {
          back = true;
          break;
        }
        if (returned.a3 === 0) {
          if (trace.on) trace.worldExit(call.id, smcReturn, returned.a7);
          if (returned.a4 === OpteeFfaReturn.rpcCommand) await this.rpc.command(rpcState, 0);
          else if (returned.a4 !== OpteeFfaReturn.interrupt)
            this.optee.violation(call.id, `a yielding call returns with ${returned.a4}, which is not known`);
          resuming = true;
          resumeInfo = returned.a7;
        } else if (smcReturn === OpteeSmcReturn.ethreadLimit && !resuming) {
          if (trace.on) trace.worldExit(call.id, smcReturn);
          trace.waker = call.id;
          step = callQueue.threadLimit(waiter);
          if (step !== 'call') await waitTurn(callQueue, waiter, step, clock, schedule, trace);
        } else {
          back = true;
          throw this.refused(call, returned, resuming);
        }
      }
    } catch (error) {
      if (error instanceof ConduitError)
        throw commsError(TeeResult.ERROR_COMMUNICATION, `${call.purpose}: ${error.message}`, { cause: error });
      throw error;
    } finally {
      trace.waker = call.id;
      callQueue.leave(waiter);
      trace.waker = 0;
      if (trace.on) trace.callEnd(call.id, smcReturn, back);
    }
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

  async remove(): Promise<void> {
    await this.argCache.dispose();
    await this.rpc.dispose();
    await Promise.allSettled(this.returning);
    await this.link.close();
  }

  private refused(call: Call, { a3 }: SmcRegisters, resuming: boolean) {
    return commsError(
      TeeResult.ERROR_COMMUNICATION,
      `${call.purpose}: secure world refused ${resuming ? 'to resume' : 'the message'} with 0x${a3.toString(16)}`,
    );
  }

  private async share(shm: TeeShm): Promise<TeeShm> {
    try {
      const handle = await this.link.share(shm.pages ?? []);
      if (this.shared.has(handle) || handle === 0) {
        this.optee.violation(0, `shared memory got handle 0x${handle.toString(16)}, which is in use`);
        throw commsError(TeeResult.ERROR_COMMUNICATION, `sharing memory: handle 0x${handle.toString(16)} is in use`);
      }
      shm.secureWorldId = handle;
      this.shared.set(handle, shm);
      return shm;
    } catch (error) {
      await shm.put();
      throw error;
    }
  }

  /** Memory that secure world does not let go of stays allocated: it could still write there. */
  private unshare(shm: TeeShm): Promise<void> {
    const handle = shm.secureWorldId;
    // Never shared.
    if (this.shared.get(handle) !== shm) return Promise.resolve();
    const returned = this.takeBack(handle).catch((error: unknown) => {
      this.optee.violation(0, error instanceof Error ? error.message : String(error));
      throw error;
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
        `unregistering memory 0x${handle.toString(16)}: secure world answers 0x${a3.toString(16)}`,
      );
    await this.link.reclaim(handle);
    this.shared.delete(handle);
  }
}

/** What the same return would be over raw SMCs: the terms of the trace. */
function smcReturnOf({ a3, a4 }: SmcRegisters): number {
  if (isBusy(a3)) return OpteeSmcReturn.ethreadLimit;
  if (a3 !== 0) return OpteeSmcReturn.ebadCmd;
  if (a4 === OpteeFfaReturn.done) return OpteeSmcReturn.ok;
  return rpcReturn(a4 === OpteeFfaReturn.interrupt ? OpteeSmcRpc.foreignInterrupt : OpteeSmcRpc.cmd);
}

/** No thread context is free. The header says FFA_BUSY; OP-TEE has always answered TEE_ERROR_BUSY. */
export function isBusy(a3: number): boolean {
  return a3 === TeeResult.ERROR_BUSY || a3 === FfaError.busy;
}
