import { sleep } from '../../clock/clock.js';
import { type Conduit, type SmcRegisters, smcRegisters } from '../../protocol/conduit.js';
import { attrNoncontig, type MsgArg, msgArgSize, OpteeMsgAttr, OpteeMsgCmd } from '../../protocol/optee-msg.js';
import {
  fromRegisterPair,
  lower32,
  OpteeSmc,
  OpteeSmcReturn,
  SecureWorldCapability,
  smcName,
  upper32,
} from '../../protocol/optee-smc.js';
import { pageSize } from '../../protocol/physical-memory.js';
import { TeeResult, teeResultName } from '../../protocol/tee-result.js';
import { eachStep } from '../../tee/each-step.js';
import type { TeeContext } from '../../tee/tee-context.js';
import type { TeeVersion } from '../../tee/tee-driver.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { commsError } from '../../tee/teec-error.js';
import { ArgCache, type Entry, MessageSlot } from '../arg-cache.js';
import type { Call } from '../call.js';
import { toMsgParam, updateFromMsgParam } from '../msg-param.js';
import type { Optee } from '../optee.js';
import type { OpteeAbi } from '../optee-abi.js';
import { pageListSize, writePageList } from '../page-list.js';
import { RpcServer } from '../rpc/rpc.js';
import { type RpcMemory, SmcRpcMemory } from '../rpc/rpc-memory.js';
import type { RpcState } from '../rpc/rpc-state.js';
import { yieldingCall } from '../yielding-call.js';
import { SmcCall } from './smc-call.js';
import type { SecureWorldInfo } from './smc-probe.js';

/** Pause before repeating a request that secure world serves only while idle, in milliseconds. */
const busyPauseMs = 1;
/** Largest number of such requests. */
const busyRefusals = 100;
/** Messages that it may have kept: one per thread, and it never has as many threads. */
const mostCached = 4096;

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
    const { pool } = optee;
    this.version = {
      implementationId: 1,
      registeredMemory: pool.dynamic,
      memrefNull: (info.capabilities & SecureWorldCapability.memrefNull) !== 0,
    };
    this.rpcMemory = new SmcRpcMemory(optee.pool);
    this.rpc = new RpcServer(optee, this.rpcMemory);
    this.argCache = new ArgCache(
      (entry) => this.messagePage(entry),
      // A message must begin at the start of a page that is not registered, because CALL_WITH_ARG has no offset.
      (page) => page.kind !== 'private',
      info.rpcParamCount,
    );
  }

  call(call: Call, slot: MessageSlot): Promise<void> {
    const message = this.info.rpcParamCount > 0 ? slot.rpcMessage() : undefined;
    const state: RpcState = { call, message, pageList: undefined };
    return yieldingCall(
      this.optee,
      call,
      new SmcCall(this.optee, this.conduit, this.rpc, this.firstRegisters(slot), state),
    );
  }

  allocateShm(context: TeeContext, size: number, system: boolean): Promise<TeeShm> {
    const { pool } = this.optee;
    return pool.dynamic
      ? this.registered(context, size, { system, relief: false }, false)
      : Promise.resolve(pool.allocate(size));
  }

  async registerShm(context: TeeContext, size: number, system: boolean): Promise<TeeShm> {
    if (!this.optee.pool.dynamic)
      throw commsError(
        TeeResult.ERROR_NOT_SUPPORTED,
        'registering shared memory: secure world has only its reserved memory',
      );
    return this.registered(context, size, { system, relief: false }, true);
  }

  remove(): Promise<void> {
    return eachStep([
      () => this.argCache.dispose(),
      () => (this.info.rpcParamCount === 0 && !this.optee.ended ? this.disableShmCache(true) : undefined),
      () => this.rpc.dispose(),
    ]);
  }

  /**
   * Let secure world keep memory of its RPC messages between calls. Only useful if messages have no RPC message of
   * their own.
   */
  async enableShmCache(): Promise<void> {
    await this.whileIdle(OpteeSmc.enableShmCache, () => true);
  }

  /**
   * Free the memory that secure world kept.
   * @param ours whether this driver allocated it; at probe time it may belong to an earlier driver.
   */
  async disableShmCache(ours: boolean): Promise<void> {
    await this.whileIdle(OpteeSmc.disableShmCache, ({ a1, a2 }) => {
      if (ours) this.rpc.free(0, fromRegisterPair(a1, a2));
      return false;
    });
  }

  /**
   * Repeat a fast call that secure world refuses while a thread is active, until `done` or ENOTAVAIL. Secure world may
   * never be idle: a thread context lost by an earlier boot stage, or a call of an earlier driver, counts as active.
   * Then its cache stays as it is. RPC messages in it from an earlier driver are refused one by one, because none of
   * our memory has their cookies. Linux repeats without limit.
   */
  private async whileIdle(functionId: number, done: (returned: SmcRegisters) => boolean): Promise<void> {
    let refusals = 0;
    let answers = 0;
    while (refusals < busyRefusals && answers < mostCached) {
      const returned = await this.conduit.smc(smcRegisters(functionId));
      if (returned.a0 === OpteeSmcReturn.ebusy) {
        refusals++;
        await sleep(this.optee.clock, busyPauseMs);
      } else if (returned.a0 !== OpteeSmcReturn.ok || done(returned)) {
        return;
      } else {
        answers++;
      }
    }
    const why = answers < mostCached ? 'does not become idle' : `gives back more than ${mostCached} messages`;
    this.optee.violation(0, `${smcName(functionId)}: secure world ${why}, its cache stays enabled`);
  }

  /** Reserved memory is preferred, but may be used up. */
  private messagePage(entry: Entry): TeeShm | Promise<TeeShm> {
    const { pool, messagePool, kernelContext } = this.optee;
    if (!messagePool.dynamic) {
      try {
        return messagePool.allocate(pageSize);
      } catch (error) {
        if (!pool.dynamic) throw error;
      }
    }
    return this.info.rpcParamCount > 0
      ? this.registered(kernelContext, pageSize, entry, false)
      : pool.allocate(pageSize);
  }

  private firstRegisters(slot: MessageSlot): SmcRegisters {
    if (this.info.rpcParamCount > 0 && slot.shm.kind === 'registered')
      return smcRegisters(OpteeSmc.callWithRegdArg, upper32(slot.shm.id), lower32(slot.shm.id), slot.offset);
    const functionId = this.info.rpcParamCount > 0 ? OpteeSmc.callWithRpcArg : OpteeSmc.callWithArg;
    return smcRegisters(functionId, upper32(slot.address), lower32(slot.address));
  }

  /** Memory registered with secure world by its cookie: OPTEE_MSG_CMD_REGISTER_SHM. */
  private async registered(context: TeeContext, size: number, entry: Entry, scattered: boolean): Promise<TeeShm> {
    const { pool } = this.optee;
    let known = false;
    const unregister = async (shm: TeeShm) => {
      if (known) await this.unregister(context, shm, entry.system);
    };
    const shm = scattered ? pool.scatteredToRegister(size, unregister) : pool.allocateToRegister(size, unregister);
    const pages = shm.pages ?? [];
    let list: TeeShm | undefined;
    try {
      if (this.optee.schedule.fine) await this.memoryPoint(shm, 'list its pages');
      list = pool.allocate(pageListSize(pages.length));
      writePageList(list.bytes, list.address, pages);
      const { address } = list;
      const doing = `registering ${shm.size} bytes of shared memory`;
      await this.privateCall(context, 'register-shm', doing, entry, (msg) => {
        msg.cmd = OpteeMsgCmd.registerShm;
        // The header specifies TMEM_INPUT; OP-TEE has always required TMEM_OUTPUT.
        msg.setParam(0, OpteeMsgAttr.tmemOutput | attrNoncontig, address, shm.size, shm.id);
      });
      known = true;
      if (this.optee.schedule.fine) await this.memoryPoint(shm, 'give back its page list');
    } catch (error) {
      await shm.put();
      throw error;
    } finally {
      list?.put();
    }
    return shm;
  }

  /** Other registrations, frees and calls may run between the parts of a registration. */
  private memoryPoint({ id }: TeeShm, step: string): Promise<void> {
    return this.optee.schedule.point(`memory ${id}`, step);
  }

  private async unregister(context: TeeContext, shm: TeeShm, system: boolean): Promise<void> {
    // A dead secure world does not write to memory.
    if (this.optee.ended) return;
    try {
      const doing = `unregistering ${shm.size} bytes of shared memory`;
      await this.privateCall(context, 'unregister-shm', doing, this.ofUnregistration(system), (msg) => {
        msg.cmd = OpteeMsgCmd.unregisterShm;
        msg.setParam(0, OpteeMsgAttr.rmemInput, 0, 0, shm.id);
      });
    } catch (error) {
      // Secure world may have died during this call, or while the call waited for a thread.
      if (!this.optee.ended) throw error;
    }
  }

  /**
   * How the call that unregisters memory enters: as a relief call, because it releases memory and waits for no other
   * call.
   */
  private ofUnregistration(system: boolean): Entry {
    return { system: system && this.optee.callQueue.sortsOwnCalls, relief: true };
  }

  /**
   * A call with its message in memory of its own, for calls that the message cache itself needs.
   * @param doing for the error.
   * @throws TeecError if secure world refuses.
   */
  private async privateCall(
    context: TeeContext,
    purpose: 'register-shm' | 'unregister-shm',
    doing: string,
    { system, relief }: Entry,
    write: (msg: MsgArg) => void,
  ): Promise<void> {
    const { rpcParamCount } = this.info;
    const shm = this.optee.pool.allocate(msgArgSize(1) + (rpcParamCount > 0 ? msgArgSize(rpcParamCount) : 0));
    try {
      shm.bytes.fill(0);
      const slot = new MessageSlot(shm, 0, shm.bytes, rpcParamCount);
      slot.begin(1);
      if (rpcParamCount > 0) slot.rpcMessage().reset(rpcParamCount);
      write(slot.msg);
      await this.call(this.optee.newCall(context, purpose, 0, system, relief), slot);
      const { ret } = slot.msg;
      if (ret !== TeeResult.SUCCESS)
        throw commsError(TeeResult.ERROR_COMMUNICATION, `${doing}: secure world answered ${teeResultName(ret)}`);
    } finally {
      shm.put();
    }
  }
}
