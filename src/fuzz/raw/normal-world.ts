import type { Conduit, SmcRegisters } from '../../protocol/conduit.js';
import { MsgArg, msgArgSize, OpteeMsgAttr } from '../../protocol/optee-msg.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import {
  fromRegisterPair,
  isRpcReturn,
  lower32,
  OpteeSmc,
  OpteeSmcRpc,
  rpcFunction,
  upper32,
} from '../../protocol/optee-smc.js';
import { pageSize } from '../../protocol/physical-memory.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { RawMemory } from './raw-memory.js';

/** Largest number of world switches of one call. After that, the call is left suspended. */
const mostSwitches = 200;
const rpcCapacity = 4;

export interface RawReturn {
  /** The registers that secure world returned last. */
  readonly returned: SmcRegisters;
  /** Secure world still requests an RPC: its thread is left suspended. */
  readonly suspended: boolean;
}

/**
 * A normal world without a driver. It makes the SMCs of an input, and answers RPCs with the simplest answer: one page
 * of its own for each memory request, the time, and immediate returns from waits.
 */
export class RawNormalWorld {
  /** Calls whose thread was left suspended. */
  readonly suspended: SmcRegisters[] = [];

  constructor(
    private readonly conduit: Conduit,
    private readonly memory: RawMemory,
    /** Numbers of the pages that answer memory requests. */
    private readonly rpcPages: readonly number[],
  ) {}

  /**
   * Make an SMC and answer its RPCs until it returns.
   * @param rpcAddress address of the call's RPC message, unless it is in memory that secure world requested.
   * @param meanwhile called while the SMC is in secure world, if secure world runs beside this thread.
   */
  async call(registers: SmcRegisters, rpcAddress: number | undefined, meanwhile?: () => void): Promise<RawReturn> {
    const { conduit } = this;
    let answer = (meanwhile === undefined ? undefined : conduit.start?.(registers)) ?? conduit.smc(registers);
    meanwhile?.();
    let returned = answer instanceof Promise ? await answer : answer;
    let pages = 0;
    for (let switches = 0; isRpcReturn(returned.a0); switches++) {
      if (switches === mostSwitches) {
        this.suspended.push(returned);
        return { returned, suspended: true };
      }
      const page = this.rpcPages[pages % this.rpcPages.length] ?? 0;
      const resumed = this.answer(returned, rpcAddress, page);
      if (resumed.gave) pages++;
      answer = this.conduit.smc(resumed.registers);
      returned = answer instanceof Promise ? await answer : answer;
    }
    return { returned, suspended: false };
  }

  /** Resume the suspended threads with empty answers until they return. @returns whether all have returned. */
  async settle(): Promise<boolean> {
    for (const left of this.suspended.splice(0)) {
      let returned = left;
      for (let switches = 0; isRpcReturn(returned.a0); switches++) {
        if (switches === mostSwitches) return false;
        returned = await this.conduit.smc({ ...returned, a0: OpteeSmc.returnFromRpc, a1: 0, a2: 0, a4: 0, a5: 0 });
      }
    }
    return true;
  }

  private answer(
    returned: SmcRegisters,
    rpcAddress: number | undefined,
    page: number,
  ): { registers: SmcRegisters; gave: boolean } {
    let { a1, a2, a4, a5 } = returned;
    let gave = false;
    switch (rpcFunction(returned.a0)) {
      case OpteeSmcRpc.alloc: {
        const address = returned.a1 <= pageSize ? this.memory.page(page) : 0;
        gave = address !== 0;
        [a1, a2, a4, a5] = [upper32(address), lower32(address), upper32(address), lower32(address)];
        break;
      }
      case OpteeSmcRpc.cmd: {
        const address = rpcAddress ?? fromRegisterPair(returned.a1, returned.a2);
        gave = this.command(address, page);
        break;
      }
      default:
        break;
    }
    return { registers: { ...returned, a0: OpteeSmc.returnFromRpc, a1, a2, a4, a5 }, gave };
  }

  private command(address: number, page: number): boolean {
    let message: MsgArg;
    try {
      message = new MsgArg(this.memory.bytes(address, msgArgSize(rpcCapacity)));
    } catch {
      return false;
    }
    message.retOrigin = 2;
    message.ret = TeeResult.SUCCESS;
    switch (message.cmd) {
      case RpcCommand.getTime:
        message.setWords(0, 1, 1, 0);
        return false;
      case RpcCommand.shmAlloc: {
        const size = message.b(0);
        if (size > pageSize) {
          message.ret = TeeResult.ERROR_OUT_OF_MEMORY;
          return false;
        }
        message.setParam(0, OpteeMsgAttr.tmemOutput, this.memory.page(page), size, this.memory.page(page));
        return true;
      }
      case RpcCommand.notification:
      case RpcCommand.suspend:
      case RpcCommand.shmFree:
        return false;
      default:
        message.ret = TeeResult.ERROR_NOT_SUPPORTED;
        return false;
    }
  }
}
