import { MsgArg, msgArgSize, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { RpcCommand, RpcNotification, RpcShmType, rpcCommandName } from '../../protocol/optee-rpc-command.js';
import { TeeOrigin, TeeResult } from '../../protocol/tee-result.js';
import { eachStep } from '../../tee/each-step.js';
import type { TeeParam, TeeValueParam } from '../../tee/tee-param.js';
import type { TeeShm } from '../../tee/tee-shm.js';
import { TeecError } from '../../tee/teec-error.js';
import type { Call } from '../call.js';
import type { NotificationResult } from '../notification.js';
import type { Optee } from '../optee.js';
import type { RpcInService } from './rpc-in-service.js';
import type { RpcMemory } from './rpc-memory.js';
import type { RpcState } from './rpc-state.js';
import { isRpmbProbe } from './rpmb-rpc.js';

/** A refused RPC, with the result for secure world. */
class RpcRefusal extends Error {
  constructor(
    readonly result: number,
    what: string,
  ) {
    super(what);
  }
}

/** Serves the RPCs of secure world: Linux's rpc.c, and the shared memory RPCs of smc_abi.c. */
export class RpcServer {
  /** Memory that secure world got by ALLOC or SHM_ALLOC. It may free only memory from this map. */
  private readonly held = new Map<number, TeeShm>();

  constructor(
    private readonly optee: Optee,
    private readonly memory: RpcMemory,
  ) {}

  /** OPTEE_SMC_RPC_FUNC_ALLOC: allocate memory for an RPC message. Undefined if there is none. */
  allocate(size: number): TeeShm | undefined {
    if (size === 0) return undefined;
    try {
      return this.hold(this.optee.pool.allocate(size));
    } catch (error) {
      if (error instanceof TeecError) return undefined;
      throw error;
    }
  }

  /** OPTEE_SMC_RPC_FUNC_FREE. `call` is 0 if there is none. */
  free(call: number, cookie: number): void {
    const shm = this.held.get(cookie);
    if (shm === undefined) {
      this.optee.violation(call, `secure world frees memory 0x${cookie.toString(16)}, which it does not have`);
      return;
    }
    this.held.delete(cookie);
    shm.put();
  }

  /** OPTEE_SMC_RPC_FUNC_CMD. */
  async command(state: RpcState, cookie: number): Promise<void> {
    const { trace } = this.optee;
    const live = state.message ?? this.messageByCookie(state.call.id, cookie);
    if (live === undefined) {
      state.call.trouble ??= `secure world uses an RPC message that this driver did not give it: 0x${cookie.toString(16)}`;
      return;
    }
    // Read the message once, because secure world could change it while it is served.
    const paramCount = live.paramCount;
    live.retOrigin = TeeOrigin.COMMS;
    if (paramCount > live.paramCapacity) {
      this.optee.violation(
        state.call.id,
        `RPC message has ${paramCount} parameters, there is room for ${live.paramCapacity}`,
      );
      live.ret = TeeResult.ERROR_BAD_PARAMETERS;
      return;
    }
    const request = new MsgArg(live.bytes.slice(0, msgArgSize(paramCount)));
    const command = request.cmd;
    if (trace.on)
      trace.emit({
        type: 'rpc-begin',
        call: state.call.id,
        command,
        ...(paramCount > 0 ? { a: request.a(0), b: request.b(0) } : {}),
      });
    const { rpcs } = this.optee;
    const inService: RpcInService = {
      call: state.call,
      command,
      a: paramCount > 0 ? request.a(0) : 0,
      b: paramCount > 0 ? request.b(0) : 0,
      since: this.optee.clock.now(),
      interrupt: undefined,
      end: undefined,
    };
    rpcs.add(inService);
    let result: number;
    try {
      result = await this.serve(state, request, paramCount, live, inService);
    } catch (error) {
      if (error instanceof RpcRefusal) result = error.result;
      else if (error instanceof TeecError) result = error.code;
      else throw error;
      state.call.trouble ??= `${rpcCommandName(command)}: ${error.message}`;
      this.optee.violation(state.call.id, error.message);
    } finally {
      rpcs.delete(inService);
    }
    live.ret = result;
    if (trace.on) trace.emit({ type: 'rpc-end', call: state.call.id, command, result });
  }

  /** Free all memory that secure world still holds. No further RPCs will follow. */
  dispose(): Promise<void> {
    const held = [...this.held.values()];
    this.held.clear();
    return eachStep(held.map((shm) => () => shm.put()));
  }

  private messageByCookie(call: number, cookie: number): MsgArg | undefined {
    const shm = this.held.get(cookie);
    if (shm === undefined || shm.size < msgArgSize(0)) {
      this.optee.violation(call, `RPC message in memory 0x${cookie.toString(16)}, which is not allocated for one`);
      return undefined;
    }
    return new MsgArg(shm.bytes);
  }

  private async serve(
    state: RpcState,
    request: MsgArg,
    paramCount: number,
    live: MsgArg,
    inService: RpcInService,
  ): Promise<number> {
    switch (request.cmd) {
      case RpcCommand.getTime: {
        this.onlyValue(request, paramCount, OpteeMsgAttr.valueOutput);
        const ms = this.optee.clock.wallClock();
        live.setWords(0, Math.floor(ms / 1000), Math.floor((ms % 1000) * 1e6), 0);
        return TeeResult.SUCCESS;
      }
      case RpcCommand.notification:
        this.onlyValue(request, paramCount, OpteeMsgAttr.valueInput);
        return this.notification(request);
      case RpcCommand.suspend: {
        this.onlyValue(request, paramCount, OpteeMsgAttr.valueInput);
        await this.sleep(request.a32(0), inService);
        return TeeResult.SUCCESS;
      }
      case RpcCommand.shmAlloc:
        return this.shmAlloc(state, request, paramCount, live);
      case RpcCommand.shmFree:
        return this.shmFree(state.call, request, paramCount);
      default:
        return this.commandWithParams(state.call, request, paramCount, live, inService);
    }
  }

  private onlyValue(request: MsgArg, paramCount: number, attr: number): void {
    if (paramCount !== 1 || request.attr(0) !== attr)
      throw new RpcRefusal(
        TeeResult.ERROR_BAD_PARAMETERS,
        `RPC command ${request.cmd} has ${paramCount} parameters, the first with attribute ` +
          `0x${paramCount > 0 ? request.attr(0).toString(16) : '-'}; expected one with 0x${attr.toString(16)}`,
      );
  }

  private async notification(request: MsgArg): Promise<number> {
    const { notifications } = this.optee;
    const kind = request.a(0);
    // Linux's functions take the value and the timeout as 32-bit integers; higher bits are ignored.
    const value = request.b32(0);
    let result: NotificationResult;
    if (kind === RpcNotification.wait) result = await notifications.wait(value, request.c32(0));
    else if (kind === RpcNotification.send) result = notifications.send(value);
    else throw new RpcRefusal(TeeResult.ERROR_BAD_PARAMETERS, `notification request ${kind} is neither wait nor send`);
    switch (result) {
      case 'notified':
        return TeeResult.SUCCESS;
      case 'timed-out':
        return TeeResult.ERROR_TIMEOUT;
      case 'out-of-range':
        throw new RpcRefusal(TeeResult.ERROR_BAD_PARAMETERS, `notification value ${value} is out of range`);
      case 'ended':
        return TeeResult.ERROR_COMMUNICATION;
      case 'busy':
        throw new RpcRefusal(TeeResult.ERROR_BAD_PARAMETERS, `notification value ${value} already has a waiter`);
      default:
        return result satisfies never;
    }
  }

  private async shmAlloc(state: RpcState, request: MsgArg, paramCount: number, live: MsgArg): Promise<number> {
    state.pageList?.put();
    state.pageList = undefined;
    if (paramCount === 0 || request.attr(0) !== OpteeMsgAttr.valueInput)
      throw new RpcRefusal(TeeResult.ERROR_BAD_PARAMETERS, 'SHM_ALLOC without an input value as its first parameter');
    for (let index = 1; index < paramCount; index++)
      if (request.attr(index) !== OpteeMsgAttr.none)
        throw new RpcRefusal(TeeResult.ERROR_BAD_PARAMETERS, `SHM_ALLOC with a parameter ${index}`);
    const type = request.a(0);
    const size = request.b(0);
    let shm: TeeShm;
    if (type === RpcShmType.appl) shm = await this.supplicantAlloc(state.call, size);
    else if (type === RpcShmType.kernel) shm = await this.memory.allocate(size);
    else throw new RpcRefusal(TeeResult.ERROR_BAD_PARAMETERS, `SHM_ALLOC of memory type ${type}`);
    try {
      this.memory.give(state, live, shm);
    } catch (error) {
      await shm.put();
      throw error;
    }
    this.hold(shm);
    return TeeResult.SUCCESS;
  }

  private async shmFree(call: Call, request: MsgArg, paramCount: number): Promise<number> {
    this.onlyValue(request, paramCount, OpteeMsgAttr.valueInput);
    const type = request.a(0);
    if (type !== RpcShmType.appl && type !== RpcShmType.kernel)
      throw new RpcRefusal(TeeResult.ERROR_BAD_PARAMETERS, `SHM_FREE of memory type ${type}`);
    const cookie = request.b(0);
    const shm = this.held.get(cookie);
    if (shm === undefined)
      throw new RpcRefusal(
        TeeResult.ERROR_BAD_PARAMETERS,
        `SHM_FREE of memory 0x${cookie.toString(16)}, which secure world does not have`,
      );
    this.held.delete(cookie);
    if (type === RpcShmType.appl) {
      const params: TeeValueParam[] = [{ type: 'value', direction: 'inout', a: type, b: shm.id, c: 0 }];
      // Drop secure world's reference first, so that the supplicant's is the last.
      await shm.put();
      await this.optee.supplicant.request(call, RpcCommand.shmFree, params);
    } else {
      await shm.put();
    }
    return TeeResult.SUCCESS;
  }

  /** Memory that the supplicant can access. The supplicant allocates it and returns its id in value[0].c. */
  private async supplicantAlloc(call: Call, size: number): Promise<TeeShm> {
    const param: TeeValueParam = { type: 'value', direction: 'inout', a: RpcShmType.appl, b: size, c: 0 };
    const result = await this.optee.supplicant.request(call, RpcCommand.shmAlloc, [param]);
    const shm = result === TeeResult.SUCCESS ? this.optee.pool.find(param.c) : undefined;
    // Linux looks the id up in the supplicant's own context, so it cannot refer to memory of others.
    if (shm === undefined || !this.optee.supplicantMemory.has(shm))
      throw new RpcRefusal(TeeResult.ERROR_OUT_OF_MEMORY, `the supplicant has no memory of ${size} bytes`);
    return shm.get();
  }

  /** Commands for the supplicant, and for RPMB devices and I2C buses in the kernel. */
  private async commandWithParams(
    call: Call,
    request: MsgArg,
    paramCount: number,
    live: MsgArg,
    inService: RpcInService,
  ): Promise<number> {
    const params: TeeParam[] = [];
    for (let index = 0; index < paramCount; index++) params.push(this.memory.fromMsgParam(request, index));
    const remark = (why: string) => {
      call.trouble ??= `${rpcCommandName(request.cmd)}: ${why}`;
    };
    const byKernel =
      request.cmd === RpcCommand.i2cTransfer
        ? this.optee.i2c.serve(params, remark)
        : isRpmbProbe(request)
          ? this.optee.rpmb.serve(request.cmd, params, remark)
          : undefined;
    const result =
      byKernel === undefined
        ? await this.optee.supplicant.request(call, request.cmd, params)
        : await this.untilEnd(byKernel, inService);
    params.forEach((param, index) => {
      if (param.type === 'none' || param.direction === 'input') return;
      const words = param.type === 'value' ? [param.a, param.b, param.c] : [param.size];
      if (!words.every((word) => Number.isSafeInteger(word) && word >= 0))
        throw new RpcRefusal(
          TeeResult.ERROR_COMMUNICATION,
          `the supplicant answered parameter ${index} with ${words.join(', ')}, which are not valid numbers of a message`,
        );
    });
    params.forEach((param, index) => {
      if (param.type === 'none' || param.direction === 'input') return;
      if (param.type === 'value') live.setWords(index, param.a, param.b, param.c);
      else live.setB(index, param.size);
    });
    return result;
  }

  /**
   * Linux's msleep_interruptible(). A client's death ends the current sleep; if the TA sleeps again, that sleep takes
   * its full time. (Linux ends later sleeps at once, and both worlds busy-loop until the TA's time is over.)
   */
  private sleep(ms: number, inService: RpcInService): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.optee.clock.setTimer(ms, resolve);
      const wake = () => {
        cancel();
        resolve();
      };
      inService.interrupt = wake;
      inService.end = wake;
      if (this.optee.ended) wake();
    });
  }

  /** Wait for work of another party, but only while secure world is alive. */
  private untilEnd(work: Promise<number>, inService: RpcInService): Promise<number> {
    return new Promise((resolve, reject) => {
      inService.end = () => resolve(TeeResult.ERROR_COMMUNICATION);
      work.then(resolve, reject);
      if (this.optee.ended) inService.end();
    });
  }

  private hold(shm: TeeShm): TeeShm {
    this.held.set(shm.secureWorldId, shm);
    return shm;
  }
}
