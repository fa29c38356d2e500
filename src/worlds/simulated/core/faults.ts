import { type OptionNames, requireKnownOptions } from '../../../known-options.js';
import type { SmcRegisters } from '../../../protocol/conduit.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import type { Uuid } from '../../../protocol/uuid.js';

/** An RPC that secure world is about to request. */
export interface RpcRequest {
  /** The thread context that requests it. */
  readonly thread: number;
  /** The RPC function (`OpteeSmcRpc`). */
  readonly func: number;
  /** The registers that will be returned to the normal world. */
  readonly registers: SmcRegisters;
  /** The RPC message of an OPTEE_SMC_RPC_FUNC_CMD, as a view: the normal world reads what a hook writes here. */
  readonly message: MsgArg | undefined;
}

/**
 * The fault of an RPC: none; requested again after its answer; lost, so that the SMC never returns; or other registers
 * in its place.
 */
export type RpcFault = undefined | 'twice' | 'lost' | SmcRegisters;

/** An imminent entry into a trusted application. */
export interface TaEntry {
  readonly uuid: Uuid;
  /** The thread context that it runs in. */
  readonly thread: number;
  readonly entry: 'open' | 'invoke' | 'close';
  /** The command of an `invoke`, otherwise 0. */
  readonly command: number;
}

/** The fault of an entry: panic, hang, or return a result, without running the application's code. */
export type TaFault = undefined | { readonly panic: number } | { readonly hangs: true } | { readonly result: number };

/** A registration of shared memory, requested by the normal world; sizes in bytes. */
export interface Registration {
  readonly cookie: number;
  readonly size: number;
}

/**
 * Hooks that make a simulated secure world fail, or hostile. Every hook is optional. One that returns undefined has no
 * effect.
 */
export interface Faults {
  /** Thread contexts that are occupied from the start and never freed, as if by an earlier boot stage. */
  readonly threadsMissing?: number;
  /** Milliseconds of computation after which a trusted application is interrupted for the normal world, repeatedly. */
  readonly foreignInterruptPeriodMs?: number;
  /** An SMC arrives: returned registers are the answer, and secure world never sees the SMC. */
  smc?(registers: SmcRegisters): SmcRegisters | undefined;
  /** An SMC is about to return, finally or for an RPC: returned registers replace the real ones. */
  smcReturn?(registers: SmcRegisters, call: SmcRegisters): SmcRegisters | undefined;
  /** A message arrived, as a view, before secure world has read anything but its length. */
  message?(message: MsgArg): void;
  /** A message was answered, as a view, before the call returns. `thread` is the context that it ran in. */
  answer?(message: MsgArg, thread: number): void;
  /** An RPC is about to be requested. */
  rpc?(request: RpcRequest): RpcFault;
  /** The normal world resumed a suspended thread. True: it resumes it a second time, after the thread has continued. */
  resumedTwice?(thread: number): boolean;
  /** True: the registration fails with TEE_ERROR_BAD_PARAMETERS, like every failed one in OP-TEE. */
  refuseMemory?(registration: Registration): boolean;
  /** A trusted application is about to be entered. */
  trustedApplication?(entry: TaEntry): TaFault;
}

/** The names of all hooks. */
export const faultNames: OptionNames<Faults> = {
  threadsMissing: true,
  foreignInterruptPeriodMs: true,
  smc: true,
  smcReturn: true,
  message: true,
  answer: true,
  rpc: true,
  resumedTwice: true,
  refuseMemory: true,
  trustedApplication: true,
};

/** Combine faults. Every hook calls those of the parts in order; the first result that is not undefined counts. */
export function composeFaults(...faults: readonly Faults[]): Faults {
  for (const fault of faults) requireKnownOptions('composeFaults', fault, faultNames);
  const first = <T>(ask: (fault: Faults) => T | undefined): T | undefined => {
    for (const fault of faults) {
      const answer = ask(fault);
      if (answer !== undefined) return answer;
    }
    return undefined;
  };
  const period = first((fault) => fault.foreignInterruptPeriodMs);
  return {
    threadsMissing: faults.reduce((sum, fault) => sum + (fault.threadsMissing ?? 0), 0),
    ...(period === undefined ? {} : { foreignInterruptPeriodMs: period }),
    smc: (registers) => first((fault) => fault.smc?.(registers)),
    smcReturn: (registers, call) => first((fault) => fault.smcReturn?.(registers, call)),
    message: (message) => {
      for (const fault of faults) fault.message?.(message);
    },
    answer: (message, thread) => {
      for (const fault of faults) fault.answer?.(message, thread);
    },
    rpc: (request) => first((fault) => fault.rpc?.(request)),
    resumedTwice: (thread) => faults.some((fault) => fault.resumedTwice?.(thread) === true),
    refuseMemory: (registration) => faults.some((fault) => fault.refuseMemory?.(registration) === true),
    trustedApplication: (entry) => first((fault) => fault.trustedApplication?.(entry)),
  };
}
