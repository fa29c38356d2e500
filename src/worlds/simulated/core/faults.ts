import { type OptionNames, requireKnownOptions } from '../../../known-options.js';
import type { SmcRegisters } from '../../../protocol/conduit.js';
import type { MsgArg } from '../../../protocol/optee-msg.js';
import type { Uuid } from '../../../protocol/uuid.js';

/** An RPC that secure world is about to ask for. */
export interface RpcRequest {
  readonly thread: number;
  /** The RPC function (`OpteeSmcRpc`). */
  readonly func: number;
  /** What will be given to the normal world. */
  readonly registers: SmcRegisters;
  /** The RPC message of an OPTEE_SMC_RPC_FUNC_CMD, live: what is written here is what the normal world reads. */
  readonly message: MsgArg | undefined;
}

/**
 * What becomes of an RPC: nothing special; asked for a second time after its answer came; lost, so that the SMC never
 * returns; or other registers in its place.
 */
export type RpcFault = undefined | 'twice' | 'lost' | SmcRegisters;

/** A trusted application that is about to be entered. */
export interface TaEntry {
  readonly uuid: Uuid;
  /** The context that it runs in. */
  readonly thread: number;
  readonly entry: 'open' | 'invoke' | 'close';
  /** The command of an `invoke`, else 0. */
  readonly command: number;
}

/** What the application does instead of its own code: panic, never come back, or return a result. */
export type TaFault = undefined | { readonly panic: number } | { readonly hangs: true } | { readonly result: number };

/** Registration of shared memory that the normal world asks for; sizes in bytes. */
export interface Registration {
  readonly cookie: number;
  readonly size: number;
}

/**
 * Where a simulated secure world can be made to fail, or to be hostile. Every hook is optional; one that returns nothing
 * lets things take their course.
 */
export interface Faults {
  /** Thread contexts that are taken for ever before the first call, as after a boot stage that left one behind. */
  readonly threadsMissing?: number;
  /** Milliseconds after which a trusted application that computes is interrupted for the normal world, again and again. */
  readonly foreignInterruptPeriodMs?: number;
  /** An SMC arrives: registers returned here are the answer, and secure world never sees the SMC. */
  smc?(registers: SmcRegisters): SmcRegisters | undefined;
  /** An SMC is about to return, for good or for an RPC: registers returned here replace the true ones. */
  smcReturn?(registers: SmcRegisters, call: SmcRegisters): SmcRegisters | undefined;
  /** A message arrives, live, before secure world reads anything of it but its length. */
  message?(message: MsgArg): void;
  /** A message was answered, live, before the call returns; `thread` is the context that it ran in. */
  answer?(message: MsgArg, thread: number): void;
  rpc?(request: RpcRequest): RpcFault;
  /** The normal world came back to a suspended thread. True: it does so twice, the second time when that has gone on. */
  resumedTwice?(thread: number): boolean;
  /** True: the registration fails, with TEE_ERROR_BAD_PARAMETERS as every failed one does in OP-TEE. */
  refuseMemory?(registration: Registration): boolean;
  trustedApplication?(entry: TaEntry): TaFault;
}

/** The names of all of them. */
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

/** Several faults as one: every hook is passed in the order given, and the first that answers decides. */
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
