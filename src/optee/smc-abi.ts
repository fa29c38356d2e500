import { sleep } from '../clock/clock.js';
import { type Conduit, ConduitError, type SmcRegisters, smcRegisters } from '../protocol/conduit.js';
import { attrNoncontig, type MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../protocol/optee-msg.js';
import {
  fromRegisterPair,
  isRpcReturn,
  lower32,
  OpteeSmc,
  OpteeSmcReturn,
  OpteeSmcRpc,
  rpcFunction,
  SecureWorldCapability,
  smcName,
  upper32,
} from '../protocol/optee-smc.js';
import { pageSize } from '../protocol/physical-memory.js';
import { TeeResult, teeResultName } from '../protocol/tee-result.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { TeeVersion } from '../tee/tee-driver.js';
import type { TeeShm } from '../tee/tee-shm.js';
import { commsError } from '../tee/teec-error.js';
import { ArgCache, MessageSlot } from './arg-cache.js';
import { CallWaiter } from './call-queue/call-queue.js';
import { waitTurn } from './call-queue/wait-turn.js';
import { toMsgParam, updateFromMsgParam } from './msg-param.js';
import type { Optee } from './optee.js';
import type { Call, OpteeAbi } from './optee-abi.js';
import { pageListSize, writePageList } from './page-list.js';
import { RpcServer, type RpcState } from './rpc.js';
import { type RpcMemory, SmcRpcMemory } from './rpc-memory.js';
import type { SecureWorldInfo } from './smc-probe.js';

/** How long to wait before asking again for something that secure world does only while idle. */
const busyPauseMs = 1;
/** How often to ask. */
const busyRefusals = 100;

/** OP-TEE over raw SMCs: Linux's smc_abi.c. */
export class SmcAbi implements OpteeAbi {
  readonly version: TeeVersion;
  readonly argCache: ArgCache;
  readonly toMsgParam = toMsgParam;
  readonly updateFromMsgParam = updateFromMsgParam;
  readonly rpcMemory: RpcMemory;
  private readonly rpc: RpcServer;

  constructor(
    private readonly optee: Optee,
    private readonly conduit: Conduit,
    private readonly info: SecureWorldInfo,
  ) {
    const { pool, messagePool } = optee;
    this.version = {
      implementationId: 1,
      registeredMemory: pool.dynamic,
      memrefNull: (info.capabilities & SecureWorldCapability.memrefNull) !== 0,
    };
    this.rpcMemory = new SmcRpcMemory(optee.pool);
    this.rpc = new RpcServer(optee, this.rpcMemory);
    const registered = messagePool.dynamic && info.rpcParamCount > 0;
    // Without RPC messages, a page of normal RAM must begin with its message: CALL_WITH_ARG carries no offset.
    const shared = registered || !messagePool.dynamic;
    this.argCache = new ArgCache(
      (system) =>
        registered ? this.registered(optee.kernelContext, pageSize, system, false) : messagePool.allocate(pageSize),
      shared,
      info.rpcParamCount,
    );
  }

  async call(call: Call, slot: MessageSlot): Promise<void> {
    const { callQueue, trace, clock, schedule } = this.optee;
    const { msg } = slot;
    const rpcMessage = this.info.rpcParamCount > 0 ? slot.rpcMessage(msg.paramCount) : undefined;
    const first = this.firstRegisters(slot);
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
        entersAtOnce ? first.a0 : 0,
      );
    if (step !== 'call') await waitTurn(callQueue, waiter, step, clock, schedule, trace);
    const rpcState: RpcState = { call, message: rpcMessage, pageList: undefined };
    let registers = first;
    let smcReturn: number = OpteeSmcReturn.unknownFunction;
    let back = false;
    try {
      for (;;) {
        if (schedule.decides) await schedule.point(`call ${call.id}`, smcName(registers.a0));
        if (trace.on && !entersAtOnce) trace.worldEnter(call.id, registers.a0);
        entersAtOnce = false;
        const answer = this.conduit.smc(registers);
        const returned = answer instanceof Promise ? await answer : answer;
        smcReturn = returned.a0;
        if (smcReturn === OpteeSmcReturn.ethreadLimit) {
          if (trace.on) trace.worldExit(call.id, smcReturn);
          trace.waker = call.id;
          step = callQueue.threadLimit(waiter);
          if (step !== 'call') await waitTurn(callQueue, waiter, step, clock, schedule, trace);
          // Secure world does not preserve the registers of a refused call, whatever the header says.
          registers = first;
        } else if (isRpcReturn(smcReturn)) {
          if (trace.on) trace.worldExit(call.id, smcReturn, returned.a3);
          registers = await this.handleRpc(returned, rpcState);
        } else {
          back = true;
          break;
        }
      }
    } catch (error) {
      if (error instanceof ConduitError)
        throw commsError(TeeResult.ERROR_COMMUNICATION, `${call.purpose}: ${error.message}`, { cause: error });
      throw error;
    } finally {
      rpcState.pageList?.put();
      trace.waker = call.id;
      callQueue.leave(waiter);
      trace.waker = 0;
      if (trace.on) trace.callEnd(call.id, smcReturn, back);
    }
    if (smcReturn !== OpteeSmcReturn.ok)
      throw commsError(
        TeeResult.ERROR_COMMUNICATION,
        `${call.purpose}: secure world refused ${smcName(first.a0)} with return code 0x${smcReturn.toString(16)}`,
      );
  }

  allocateShm(context: TeeContext, size: number): Promise<TeeShm> {
    const { pool } = this.optee;
    return pool.dynamic ? this.registered(context, size, false, false) : Promise.resolve(pool.allocate(size));
  }

  async registerShm(context: TeeContext, size: number): Promise<TeeShm> {
    if (!this.optee.pool.dynamic)
      throw commsError(
        TeeResult.ERROR_NOT_SUPPORTED,
        'registering shared memory: secure world has only its reserved memory',
      );
    return this.registered(context, size, false, true);
  }

  async remove(): Promise<void> {
    await this.argCache.dispose();
    if (this.info.rpcParamCount === 0) await this.disableShmCache(true);
    await this.rpc.dispose();
  }

  /** Let secure world keep the memory of its RPC messages between calls; of use only when we give it none. */
  async enableShmCache(): Promise<void> {
    await this.whileIdle(OpteeSmc.enableShmCache, () => true);
  }

  /**
   * Take back what secure world kept.
   * @param ours whether this driver allocated it; at the start it may be an earlier one's, long gone.
   */
  async disableShmCache(ours: boolean): Promise<void> {
    await this.whileIdle(OpteeSmc.disableShmCache, ({ a1, a2 }) => {
      if (ours) this.rpc.free(0, fromRegisterPair(a1, a2));
      return false;
    });
  }

  /**
   * Repeat a fast call, which secure world refuses while a thread is active, until `done` or ENOTAVAIL. Secure world may
   * never be idle (a thread context that an earlier boot stage lost counts as active): then its cache stays as it is,
   * which costs RPCs but breaks nothing. Linux waits for ever here.
   */
  private async whileIdle(functionId: number, done: (returned: SmcRegisters) => boolean): Promise<void> {
    for (let refusals = 0; refusals < busyRefusals; ) {
      const returned = await this.conduit.smc(smcRegisters(functionId));
      if (returned.a0 === OpteeSmcReturn.ebusy) {
        refusals++;
        await sleep(this.optee.clock, busyPauseMs);
      } else if (returned.a0 !== OpteeSmcReturn.ok || done(returned)) {
        return;
      }
    }
    this.optee.violation(0, `${smcName(functionId)}: secure world is never idle, its cache stays as it is`);
  }

  private firstRegisters(slot: MessageSlot): SmcRegisters {
    if (this.info.rpcParamCount > 0 && slot.shm.kind === 'registered')
      return smcRegisters(OpteeSmc.callWithRegdArg, upper32(slot.shm.id), lower32(slot.shm.id), slot.offset);
    const functionId = this.info.rpcParamCount > 0 ? OpteeSmc.callWithRpcArg : OpteeSmc.callWithArg;
    return smcRegisters(functionId, upper32(slot.address), lower32(slot.address));
  }

  /** Serve one RPC; the registers to resume with. Linux's `optee_handle_rpc()`. */
  private async handleRpc(returned: SmcRegisters, state: RpcState): Promise<SmcRegisters> {
    let { a1, a2, a4, a5 } = returned;
    switch (rpcFunction(returned.a0)) {
      case OpteeSmcRpc.alloc: {
        const shm = this.rpc.allocate(returned.a1);
        a1 = upper32(shm?.address ?? 0);
        a2 = lower32(shm?.address ?? 0);
        a4 = upper32(shm?.id ?? 0);
        a5 = lower32(shm?.id ?? 0);
        break;
      }
      case OpteeSmcRpc.free:
        this.rpc.free(state.call.id, fromRegisterPair(returned.a1, returned.a2));
        break;
      case OpteeSmcRpc.foreignInterrupt:
        // Nothing to do: an interrupt of the normal world came, and coming back here took it.
        break;
      case OpteeSmcRpc.cmd:
        await this.rpc.command(state, fromRegisterPair(returned.a1, returned.a2));
        break;
      default:
        this.optee.violation(state.call.id, `RPC function 0x${rpcFunction(returned.a0).toString(16)} is not known`);
    }
    return { ...returned, a0: OpteeSmc.returnFromRpc, a1, a2, a4, a5 };
  }

  /** Memory that secure world knows by its cookie: OPTEE_MSG_CMD_REGISTER_SHM. */
  private async registered(context: TeeContext, size: number, system: boolean, scattered: boolean): Promise<TeeShm> {
    const { pool } = this.optee;
    let known = false;
    const unregister = async (shm: TeeShm) => {
      if (known) await this.unregister(context, shm);
    };
    const shm = scattered ? pool.scatteredToRegister(size, unregister) : pool.allocateToRegister(size, unregister);
    const pages = shm.pages ?? [];
    let list: TeeShm | undefined;
    try {
      list = pool.allocate(pageListSize(pages.length));
      writePageList(list.bytes, list.address, pages);
      const { address } = list;
      await this.privateCall(context, 'register-shm', system, (msg) => {
        msg.cmd = OpteeMsgCmd.registerShm;
        // The header says TMEM_INPUT; OP-TEE has always wanted TMEM_OUTPUT.
        msg.setParam(0, OpteeMsgAttr.tmemOutput | attrNoncontig, address, shm.size, shm.id);
      });
      known = true;
    } catch (error) {
      await shm.put();
      throw error;
    } finally {
      list?.put();
    }
    return shm;
  }

  private async unregister(context: TeeContext, shm: TeeShm): Promise<void> {
    await this.privateCall(context, 'unregister-shm', false, (msg) => {
      msg.cmd = OpteeMsgCmd.unregisterShm;
      msg.setParam(0, OpteeMsgAttr.rmemInput, 0, 0, shm.id);
    });
  }

  /**
   * A call whose message lies in memory of its own: the cache cannot serve calls that it needs itself.
   * @throws TeecError when secure world refuses.
   */
  private async privateCall(
    context: TeeContext,
    purpose: 'register-shm' | 'unregister-shm',
    system: boolean,
    write: (msg: MsgArg) => void,
  ): Promise<void> {
    const { rpcParamCount } = this.info;
    const shm = this.optee.pool.allocate(msgArgSize(1) + (rpcParamCount > 0 ? msgArgSize(rpcParamCount) : 0));
    try {
      shm.bytes.fill(0);
      const slot = new MessageSlot(shm, 0, shm.bytes, rpcParamCount);
      slot.msg.paramCount = 1;
      if (rpcParamCount > 0) slot.rpcMessage(1).reset(rpcParamCount);
      write(slot.msg);
      await this.call(this.optee.newCall(context, purpose, 0, system), slot);
      if (slot.msg.ret !== TeeResult.SUCCESS)
        throw commsError(TeeResult.ERROR_COMMUNICATION, `${purpose}: secure world says ${teeResultName(slot.msg.ret)}`);
    } finally {
      shm.put();
    }
  }
}
