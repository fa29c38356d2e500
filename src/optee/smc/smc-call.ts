import type { Conduit, SmcRegisters } from '../../protocol/conduit.js';
import {
  fromRegisterPair,
  lower32,
  OpteeSmc,
  OpteeSmcReturn,
  OpteeSmcRpc,
  rpcFunction,
  smcName,
  smcReturnInWords,
  upper32,
} from '../../protocol/optee-smc.js';
import type { Optee } from '../optee.js';
import type { RpcServer } from '../rpc/rpc.js';
import type { RpcState } from '../rpc/rpc-state.js';
import type { WorldSwitches } from '../yielding-call.js';

/** The world switches of a call over raw SMCs. */
export class SmcCall implements WorldSwitches {
  private registers: SmcRegisters;

  constructor(
    private readonly optee: Optee,
    private readonly conduit: Conduit,
    private readonly rpc: RpcServer,
    private readonly first: SmcRegisters,
    private readonly state: RpcState,
  ) {
    this.registers = first;
  }

  get functionId(): number {
    return this.registers.a0;
  }

  enter(): SmcRegisters | Promise<SmcRegisters> {
    return this.conduit.smc(this.registers);
  }

  waitsForProcessor(): boolean {
    return this.conduit.waitsForProcessor?.(this.registers) ?? false;
  }

  smcReturn({ a0 }: SmcRegisters): number {
    // Resuming needs no free thread. Starting over would make the call twice.
    return a0 === OpteeSmcReturn.ethreadLimit && this.registers !== this.first ? OpteeSmcReturn.eresume : a0;
  }

  thread({ a3 }: SmcRegisters): number {
    return a3;
  }

  refusal({ a0 }: SmcRegisters): string {
    return `${smcName(this.registers.a0)} with return code ${smcReturnInWords(a0)}`;
  }

  startOver(): void {
    // Secure world does not preserve the registers of a refused call, although the header says so.
    this.registers = this.first;
  }

  end(): void {
    this.state.pageList?.put();
  }

  /** Linux's `optee_handle_rpc()`. */
  async serve(returned: SmcRegisters): Promise<void> {
    let { a1, a2, a4, a5 } = returned;
    const { call } = this.state;
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
        this.rpc.free(call.id, fromRegisterPair(returned.a1, returned.a2));
        break;
      case OpteeSmcRpc.foreignInterrupt:
        // A foreign interrupt: the normal world has handled it when it returned here.
        break;
      case OpteeSmcRpc.cmd:
        await this.rpc.command(this.state, fromRegisterPair(returned.a1, returned.a2));
        break;
      default:
        this.optee.violation(call.id, `RPC function 0x${rpcFunction(returned.a0).toString(16)} is not known`);
    }
    this.registers = { ...returned, a0: OpteeSmc.returnFromRpc, a1, a2, a4, a5 };
  }
}
