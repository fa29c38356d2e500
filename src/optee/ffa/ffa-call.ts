import type { SmcRegisters } from '../../protocol/conduit.js';
import { FfaError, ffaErrorName, isFfaError } from '../../protocol/ffa.js';
import { OpteeFfa, OpteeFfaReturn } from '../../protocol/optee-ffa.js';
import { lower32, OpteeSmc, OpteeSmcReturn, OpteeSmcRpc, rpcReturn, upper32 } from '../../protocol/optee-smc.js';
import { TeeResult, teeResultName } from '../../protocol/tee-result.js';
import type { MessageSlot } from '../arg-cache.js';
import type { Optee } from '../optee.js';
import type { RpcServer } from '../rpc/rpc.js';
import type { RpcState } from '../rpc/rpc-state.js';
import type { WorldSwitches } from '../yielding-call.js';
import type { FfaLink, FfaSender } from './ffa-link.js';

/** The world switches of a call with direct messages: OPTEE_FFA_YIELDING_CALL_WITH_ARG and _RESUME of optee_ffa.h. */
export class FfaCall implements WorldSwitches, FfaSender {
  smc: SmcRegisters | undefined;
  private resuming = false;
  private resumeInfo = 0;

  constructor(
    private readonly optee: Optee,
    private readonly link: FfaLink,
    private readonly rpc: RpcServer,
    private readonly slot: MessageSlot,
    private readonly state: RpcState,
  ) {}

  get functionId(): number {
    return this.resuming ? OpteeSmc.returnFromRpc : OpteeSmc.callWithRegdArg;
  }

  enter(): SmcRegisters | Promise<SmcRegisters> {
    if (this.resuming) return this.link.directFor(this, OpteeFfa.yieldingCallResume, 0, 0, 0, this.resumeInfo);
    const handle = this.slot.shm.secureWorldId;
    return this.link.directFor(this, OpteeFfa.yieldingCallWithArg, lower32(handle), upper32(handle), this.slot.offset);
  }

  waitsForProcessor(): boolean {
    return this.smc !== undefined && this.link.waitsForProcessor(this.smc);
  }

  smcReturn({ a3, a4 }: SmcRegisters): number {
    // Resuming needs no free thread. Starting over would make the call twice.
    if (isBusy(a3)) return this.resuming ? OpteeSmcReturn.eresume : OpteeSmcReturn.ethreadLimit;
    if (a3 !== 0) return OpteeSmcReturn.ebadCmd;
    if (a4 === OpteeFfaReturn.done) return OpteeSmcReturn.ok;
    return rpcReturn(a4 === OpteeFfaReturn.interrupt ? OpteeSmcRpc.foreignInterrupt : OpteeSmcRpc.cmd);
  }

  thread({ a7 }: SmcRegisters): number {
    return a7;
  }

  refusal({ a3 }: SmcRegisters): string {
    return `${this.resuming ? 'to resume' : 'the message'} with ${ffaAnswerInWords(a3)}`;
  }

  async serve({ a4, a7 }: SmcRegisters): Promise<void> {
    if (a4 === OpteeFfaReturn.rpcCommand) await this.rpc.command(this.state, 0);
    else if (a4 !== OpteeFfaReturn.interrupt)
      this.optee.violation(this.state.call.id, `a yielding call returns the unknown value ${a4}`);
    this.resuming = true;
    this.resumeInfo = a7;
  }

  startOver(): void {
    // The call has not entered, so the next message is still the first one.
  }

  end(): void {
    // Memory in RPC answers is shared by handle, so there are no page lists to free.
  }
}

/** Whether no thread context is free. The header specifies FFA_BUSY; OP-TEE has always answered TEE_ERROR_BUSY. */
export function isBusy(a3: number): boolean {
  return a3 === TeeResult.ERROR_BUSY || a3 === FfaError.busy;
}

/**
 * A description of OP-TEE's answer in a3 of a direct message: a TEE result or, as its header specifies, an FF-A error.
 */
export function ffaAnswerInWords(a3: number): string {
  const code = `0x${a3.toString(16)}`;
  if (isFfaError(a3)) return `${ffaErrorName(a3)} (${code})`;
  const name = teeResultName(a3);
  return name.startsWith('0x') ? code : `TEE_${name} (${code})`;
}
