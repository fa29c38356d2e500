import type { Choose } from '../../clock/controlled-schedule.js';
import type { SupplicantRequest } from '../../optee/rpc/supplicant-queue.js';
import { attrMeta, type MsgArg, OpteeMsgAttr, OpteeMsgCmd } from '../../protocol/optee-msg.js';
import { RpcCommand, RpcNotification, rpcCommandName } from '../../protocol/optee-rpc-command.js';
import { OpteeSmc, OpteeSmcRpc, smcName } from '../../protocol/optee-smc.js';
import { TeeResult } from '../../protocol/tee-result.js';
import {
  type AnswerFault,
  type NormalFaultEffects,
  partName,
  partsOf,
  type RunFaults,
  type SecureFaultEffects,
  type SupplicantDeath,
} from '../../scenario/faults/run-faults.js';
import type { Faults, RpcRequest, TaEntry, TaFault } from '../../worlds/simulated/index.js';

/** The kinds of faults. */
export const FAULT_KINDS = {
  drop: 'an answer of the supplicant is lost',
  late: 'an answer of the supplicant arrives only when nothing else can happen',
  duplicate: 'an answer of the supplicant, a resume, or an answered RPC is repeated',
  corrupt: 'an answer of the supplicant, or of secure world to any call, is corrupted',
  panic: 'an application panics; if it is part of OP-TEE, secure world is dead',
  hang: 'a call never returns: its application hangs and keeps the thread context',
  'context-lost': 'a free thread context of secure world is lost just before a call enters',
  supplicant: 'the supplicant dies while it serves a request, and another starts later',
  'client-death': 'a user space client dies with a call in flight',
} as const;

export type FaultKind = keyof typeof FAULT_KINDS;

export interface FaultSettings {
  readonly kinds: readonly FaultKind[];
  /** The maximum number of faults in one run. */
  readonly most: number;
}

/** A possible fault: its description, and the function that causes it. */
interface Possible<Result> {
  readonly words: string;
  readonly strike: () => Result;
}

/** An invalid value for 32-bit fields of a message that secure world answers. */
const rubbish = 0x5eed_0bad;

/** SMCs that enter with a new call, as opposed to a resume. */
const entering: readonly string[] = [OpteeSmc.callWithArg, OpteeSmc.callWithRpcArg, OpteeSmc.callWithRegdArg].map(
  smcName,
);

/** Offers every fault of some kinds to the schedule as a choice, whenever it can happen. */
export class FaultChoices implements RunFaults {
  private readonly kinds: ReadonlySet<FaultKind>;
  private left: number;

  constructor(
    { kinds, most }: FaultSettings,
    private readonly choose: Choose,
  ) {
    this.kinds = new Set(kinds);
    this.left = most;
  }

  /** No more faults from now on. */
  end(): void {
    this.left = 0;
  }

  atPoint(actor: string, step: string, run: NormalFaultEffects): void {
    const possible: Possible<void>[] = [];
    if (this.may('client-death'))
      possible.push(
        ...run.killableClients.map((client) => ({ words: `${client} dies`, strike: () => run.kill(client) })),
      );
    if (this.may('context-lost') && entering.includes(step) && run.threads.free > 0 && run.threads.all > 1)
      possible.push({ words: 'a free thread context is lost', strike: () => run.loseThread() });
    this.happens(actor, step, possible);
  }

  dies(request: SupplicantRequest): SupplicantDeath | undefined {
    if (!this.may('supplicant')) return undefined;
    const words = `the supplicant dies while it serves ${rpcCommandName(request.command)}`;
    return this.happens(callName(request.call.id), 'the supplicant serves it', [
      { words, strike: () => 'back-soon' as const },
      { words: `${words}, and restarts late`, strike: () => 'back-late' as const },
    ]);
  }

  answer(request: SupplicantRequest): AnswerFault | undefined {
    const name = rpcCommandName(request.command);
    const possible: Possible<AnswerFault>[] = [];
    const add = (words: string, fault: AnswerFault) => possible.push({ words, strike: () => fault });
    if (this.may('drop')) add(`the answer to ${name} is dropped`, { fault: 'dropped' });
    if (this.may('late')) add(`the answer to ${name} is late`, { fault: 'late', by: undefined });
    if (this.may('duplicate')) add(`the answer to ${name} is duplicated`, { fault: 'duplicated' });
    if (this.may('corrupt'))
      for (const part of partsOf(request))
        add(`the answer to ${name} has ${partName(part)}`, { fault: 'corrupted', part });
    return this.happens(callName(request.call.id), 'the supplicant answers', possible);
  }

  secureWorld(run: SecureFaultEffects): Faults {
    const duplicate = this.kinds.has('duplicate');
    return {
      ...(duplicate && {
        rpc: (request) => this.rpc(request, run),
        resumedTwice: (thread) =>
          this.may('duplicate') &&
          this.happens(callName(run.callIn(thread)), 'is resumed', [
            { words: `thread ${thread} is resumed twice`, strike: () => true },
          ]) === true,
      }),
      ...((this.kinds.has('panic') || this.kinds.has('hang')) && {
        trustedApplication: (entry) => this.entered(entry, run),
      }),
      ...(this.kinds.has('corrupt') && { answer: (message, thread) => this.reply(message, run.callIn(thread), run) }),
    };
  }

  private rpc(request: RpcRequest, run: SecureFaultEffects): 'twice' | undefined {
    if (!this.may('duplicate') || sleeps(request) || walks(request)) return undefined;
    const { func, message } = request;
    const what = message === undefined ? `RPC function ${func}` : rpcCommandName(message.cmd);
    return this.happens(callName(run.callIn(request.thread)), `asks for ${what}`, [
      { words: `asks for ${what} again after its answer`, strike: () => 'twice' as const },
    ]);
  }

  private entered({ uuid, thread, entry }: TaEntry, run: SecureFaultEffects): TaFault {
    const possible: Possible<TaFault>[] = [];
    if (this.may('panic'))
      possible.push({
        words: `${uuid} panics`,
        strike: () => {
          run.panicked();
          return { panic: TeeResult.ERROR_GENERIC };
        },
      });
    const call = run.callIn(thread);
    if (this.may('hang') && entry === 'invoke' && run.mayHang(call, uuid))
      possible.push({
        words: `${uuid} hangs in call ${call}`,
        strike: () => {
          run.hangs(call);
          return { hangs: true };
        },
      });
    return this.happens(`application ${uuid}`, `its ${entry} entry`, possible);
  }

  /**
   * Faults in secure world's answer to a call. In the answer to an opening or a registration they decide what the
   * driver believes.
   */
  private reply(message: MsgArg, call: number, run: SecureFaultEffects): void {
    if (!this.may('corrupt')) return;
    const possible: Possible<void>[] = [];
    const add = (words: string, strike: () => void, { denies, fails }: Consequences = {}) =>
      possible.push({
        words,
        strike: () => {
          run.mayFail(call);
          if (denies !== undefined) run.denied(denies);
          if (fails === true) run.mustFail(call, words);
          strike();
        },
      });
    const { cmd } = message;
    const good = message.ret === TeeResult.SUCCESS;
    const result = () => {
      message.ret = rubbish;
    };
    const origin = () => {
      message.retOrigin = rubbish;
    };
    switch (cmd) {
      case OpteeMsgCmd.invokeCommand:
        add('its result is corrupted', result, { fails: true });
        // The driver does not check the origin of a success.
        add('the origin of its result is corrupted', origin, { fails: !good });
        break;
      case OpteeMsgCmd.openSession:
        add('its result is corrupted', result, good ? { denies: 'session', fails: true } : { fails: true });
        add('the origin of its result is corrupted', origin, { fails: !good });
        break;
      case OpteeMsgCmd.registerShm:
        if (good) add('its result is corrupted', result, { denies: 'memory', fails: true });
        break;
      case OpteeMsgCmd.unregisterShm:
        if (good) add('its result is corrupted', result, { denies: 'release' });
        break;
      case OpteeMsgCmd.closeSession:
      case OpteeMsgCmd.cancel:
      case OpteeMsgCmd.doBottomHalf:
      case OpteeMsgCmd.stopAsyncNotif:
        // The driver ignores the result.
        add('its result is corrupted', result);
        add('the origin of its result is corrupted', origin);
        break;
      default:
        return;
    }
    for (let index = 0; index < message.paramCount; index++) {
      const attr = message.attr(index);
      // Inputs, and the parameters of a registration or its end, are not read after the call.
      if (attr === OpteeMsgAttr.none || (attr & attrMeta) !== 0 || !hasClientParams(cmd)) continue;
      const { a: a0, b, c } = { a: message.a(index), b: message.b(index), c: message.c(index) };
      add(`the type of its parameter ${index} is corrupted`, () => message.setParam(index, rubbish, a0, b, c), {
        fails: true,
      });
      if (attr >= OpteeMsgAttr.rmemInput)
        add(`the size of its parameter ${index} is corrupted`, () => message.setParam(index, attr, a0, rubbish, c));
    }
    this.answers(call, possible);
  }

  private answers(call: number, possible: readonly Possible<void>[]): void {
    this.happens(callName(call), 'secure world answers', possible);
  }

  private may(kind: FaultKind): boolean {
    return this.left > 0 && this.kinds.has(kind);
  }

  private happens<Result>(actor: string, usual: string, possible: readonly Possible<Result>[]): Result | undefined {
    if (possible.length === 0) return undefined;
    const index = this.choose(actor, [usual, ...possible.map(({ words }) => words)]);
    if (index === 0) return undefined;
    this.left--;
    return possible[index - 1]?.strike();
  }
}

/** The consequences of a corrupted answer. */
interface Consequences {
  /** Secure world performed an operation, but the driver is told that it failed. */
  readonly denies?: 'session' | 'memory' | 'release';
  /** The call must fail: the answer reports an error, or violates the protocol. */
  readonly fails?: boolean;
}

const hasClientParams = (cmd: number) => cmd === OpteeMsgCmd.invokeCommand || cmd === OpteeMsgCmd.openSession;

const callName = (call: number) => `call ${call}`;

/** RPMB_PROBE_NEXT: a repeated request returns another device, so the requester would miss one. */
function walks({ message }: RpcRequest): boolean {
  return message?.cmd === RpcCommand.rpmbProbeNext;
}

/** A sleep in the normal world: a repeated request would never end. */
function sleeps({ func, message }: RpcRequest): boolean {
  return (
    func === OpteeSmcRpc.cmd &&
    message?.cmd === RpcCommand.notification &&
    message.paramCount > 0 &&
    message.a(0) === RpcNotification.wait
  );
}
