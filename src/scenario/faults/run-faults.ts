import type { Schedule } from '../../clock/schedule.js';
import type { SupplicantRequest } from '../../optee/rpc/supplicant-queue.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { Faults } from '../../worlds/simulated/index.js';

/** A fault in the answer of the supplicant. */
export type AnswerFault =
  /** The answer is never given. */
  | { readonly fault: 'dropped' }
  /** The answer is late by `by` milliseconds; undefined: given when nothing else can proceed. */
  | { readonly fault: 'late'; readonly by: number | undefined }
  | { readonly fault: 'duplicated' }
  | { readonly fault: 'corrupted'; readonly part: AnswerPart };

/** A part of an answer that can be overwritten with an invalid value. */
export type AnswerPart =
  | { readonly part: 'result'; readonly result: number }
  /** All three words of an output value. */
  | { readonly part: 'value'; readonly index: number }
  /** The size of an output memory reference: larger than its memory. */
  | { readonly part: 'size'; readonly index: number }
  /** An answer to SHM_ALLOC names memory that the supplicant did not allocate. */
  | { readonly part: 'memory' };

/** The effects of faults outside secure world. */
export interface NormalFaultEffects {
  /** Labels of user-space clients that have a call in flight. */
  readonly killableClients: readonly string[];
  kill(client: string): void;
  /** The number of free thread contexts of secure world, and the number of those that are not lost. */
  readonly threads: { readonly free: number; readonly all: number };
  loseThread(): void;
}

/** When the next supplicant starts: at its next turn, or when nothing else can proceed. */
export type SupplicantDeath = 'back-soon' | 'back-late';

/** Decides which faults occur in a run. A hook that is left out causes none. */
export interface RunFaults {
  /** A task of the normal world is about to act. */
  atPoint?(actor: string, step: string, run: NormalFaultEffects): void;
  /** The supplicant has received a request. Returns whether it dies then, and when the next one starts. */
  dies?(request: SupplicantRequest): SupplicantDeath | undefined;
  /** The supplicant is about to answer. */
  answer?(request: SupplicantRequest): AnswerFault | undefined;
  /** Faults inside secure world or at its entry. */
  secureWorld?(run: SecureFaultEffects): Faults;
}

/** The effects of faults inside secure world, reported to the run. */
export interface SecureFaultEffects {
  /** The id of the call that runs in a thread context. */
  callIn(thread: number): number;
  /** This call may fail. */
  mayFail(call: number): void;
  /** This call must fail, for the reason `why`. */
  mustFail(call: number, why: string): void;
  /** Secure world opened a session, or registered or released memory, and the driver is told that it did not. */
  denied(what: 'session' | 'memory' | 'release'): void;
  /** Whether the call may hang in this application: other calls are not blocked by it, and a thread context remains. */
  mayHang(call: number, uuid: string): boolean;
  /** This call never returns. */
  hangs(call: number): void;
  /** An application panicked. If it is a part of OP-TEE, secure world is dead. */
  panicked(): void;
}

/** A schedule with faults at every point where a task of the normal world acts. */
export function withPointFaults(schedule: Schedule, faults: RunFaults, run: NormalFaultEffects): Schedule {
  return {
    decides: true,
    get fine() {
      return schedule.fine;
    },
    async point(actor, step) {
      await schedule.point(actor, step);
      faults.atPoint?.(actor, step, run);
    },
    choose: (actor, options) => schedule.choose(actor, options),
  };
}

/** An error code that GlobalPlatform does not define, for the answer of a malfunctioning supplicant. */
const unknownResult = 0x5eed_0bad;
/** An answer with an undefined result. */
export const rubbishResult: AnswerFault = { fault: 'corrupted', part: { part: 'result', result: unknownResult } };
/** A number that is not a result at all. */
const noResult = -1;
const rubbishWord = 0xdead_beef_bad0;
/** Bytes by which an invalid size exceeds the memory. */
const beyond = 0x10_0000;

/** The parts of an answer that can be overwritten. */
export function partsOf({ command, params }: SupplicantRequest): AnswerPart[] {
  const parts: AnswerPart[] = [
    { part: 'result', result: unknownResult },
    { part: 'result', result: noResult },
  ];
  if (command === RpcCommand.shmAlloc) parts.push({ part: 'memory' });
  params.forEach((param, index) => {
    if (param.type === 'none' || param.direction === 'input') return;
    parts.push({ part: param.type === 'value' ? 'value' : 'size', index });
  });
  return parts;
}

export function partName(part: AnswerPart): string {
  switch (part.part) {
    case 'result':
      return part.result === noResult ? 'an invalid result' : `result 0x${part.result.toString(16)}`;
    case 'value':
      return `a corrupted value ${part.index}`;
    case 'size':
      return `a size of parameter ${part.index} beyond its memory`;
    case 'memory':
      return 'memory that is not its own';
    default:
      return part satisfies never;
  }
}

/**
 * Overwrite a part of an answer.
 * @returns the result to answer with.
 */
export function corrupt({ params }: SupplicantRequest, result: number, part: AnswerPart): number {
  if (part.part === 'result') return part.result;
  const param = params[part.part === 'memory' ? 0 : part.index];
  if (param?.type === 'value') {
    if (part.part === 'memory') {
      // The memory that was shared just before, which belongs to another request.
      param.c--;
    } else {
      param.a = rubbishWord;
      param.b = rubbishWord;
      param.c = rubbishWord;
    }
  } else if (param?.type === 'memref') param.size += beyond;
  return part.part === 'memory' ? TeeResult.SUCCESS : result;
}
