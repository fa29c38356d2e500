import type { Schedule } from '../../clock/schedule.js';
import type { SupplicantRequest } from '../../optee/rpc/supplicant-queue.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import type { Faults } from '../../worlds/simulated/index.js';

/** What becomes of an answer of the supplicant. */
export type AnswerFault =
  /** It is never given. */
  | { readonly fault: 'dropped' }
  /** It comes so many milliseconds later; undefined: when nothing else moves any more. */
  | { readonly fault: 'late'; readonly by: number | undefined }
  | { readonly fault: 'duplicated' }
  | { readonly fault: 'corrupted'; readonly part: AnswerPart };

/** A part of an answer that can be overwritten with rubbish. */
export type AnswerPart =
  | { readonly part: 'result'; readonly result: number }
  /** All three words of an output value. */
  | { readonly part: 'value'; readonly index: number }
  /** The size of an output memory reference: more than there is. */
  | { readonly part: 'size'; readonly index: number }
  /** An answer to SHM_ALLOC names memory that the supplicant did not allocate. */
  | { readonly part: 'memory' };

/** What a fault can do to a run from outside of secure world. */
export interface Strikable {
  /** Labels of user space clients that have a call in flight. */
  readonly mortals: readonly string[];
  kill(client: string): void;
  /** Thread contexts of secure world that are free, and how many there are that are not lost. */
  readonly threads: { readonly free: number; readonly all: number };
  loseThread(): void;
}

/** When the next supplicant comes: as soon as it gets its turn, or when nothing else moves any more. */
export type SupplicantDeath = 'back-soon' | 'back-late';

/** What decides which faults strike a run. What is left out does not happen. */
export interface RunFaults {
  /** A task of the normal world is about to act. */
  atPoint?(actor: string, step: string, run: Strikable): void;
  /** The supplicant has taken a request. Does it die then, and when does the next come? */
  dies?(request: SupplicantRequest): SupplicantDeath | undefined;
  /** The supplicant is about to answer. */
  answer?(request: SupplicantRequest): AnswerFault | undefined;
  /** Those that happen inside secure world, or at its door. */
  secureWorld?(run: Hurtable): Faults;
}

/** Whom a fault of secure world hurts. */
export interface Hurtable {
  /** The call that runs in a thread context. */
  callIn(thread: number): number;
  /** This call may fail. */
  hurtCall(call: number): void;
  /** This call must fail, for this reason. */
  mustFail(call: number, why: string): void;
  /** Secure world has opened a session, registered memory or let go of it, and the driver is told that it has not. */
  denied(what: 'session' | 'memory' | 'release'): void;
  /** The call may hang in this application without that it takes others with it, and a thread context is left. */
  mayHang(call: number, uuid: string): boolean;
  /** This call never comes back. */
  hangs(call: number): void;
  /** An application panicked; with one that is part of OP-TEE secure world is dead. */
  panicked(): void;
}

/** A schedule on which faults may strike wherever a task of the normal world acts. */
export function striking(schedule: Schedule, faults: RunFaults, run: Strikable): Schedule {
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

/** What a supplicant that is not itself answers with: an error code that is none of GlobalPlatform's. */
const unknownResult = 0x5eed_0bad;
/** An answer with a result that nobody knows. */
export const rubbishResult: AnswerFault = { fault: 'corrupted', part: { part: 'result', result: unknownResult } };
/** What is no result at all. */
const noResult = -1;
const rubbishWord = 0xdead_beef_bad0;
/** Bytes by which a wrong size is too large. */
const beyond = 0x10_0000;

/** Everything in an answer that can be overwritten. */
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
 * Overwrites a part of an answer.
 * @returns the result to answer with.
 */
export function corrupt({ params }: SupplicantRequest, result: number, part: AnswerPart): number {
  if (part.part === 'result') return part.result;
  const param = params[part.part === 'memory' ? 0 : part.index];
  if (param?.type === 'value') {
    if (part.part === 'memory') {
      // Whatever was shared just before: another's.
      param.c--;
    } else {
      param.a = rubbishWord;
      param.b = rubbishWord;
      param.c = rubbishWord;
    }
  } else if (param?.type === 'memref') param.size += beyond;
  return part.part === 'memory' ? TeeResult.SUCCESS : result;
}
