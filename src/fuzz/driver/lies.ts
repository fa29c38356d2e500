import { smcRegisters } from '../../protocol/conduit.js';
import type { MsgArg } from '../../protocol/optee-msg.js';
import { isFastCall } from '../../protocol/optee-smc.js';
import type { Faults } from '../../worlds/simulated/core/faults.js';
import { changeMessage } from '../input/change-message.js';
import { type FuzzValue, recordOf, type Step } from '../input/grammar.js';

interface Armed {
  readonly step: Step;
  left: number;
}

/** RPCs of an input that take no time. Each further one takes a millisecond: endless RPCs reach the limits of time. */
const quickRpcs = 1000;

/** The faults of secure world that an input requests. Each occurs once, in the order of the input. */
export class Lies {
  private armed: Armed[] = [];
  /** The RPC that the next application called makes in place of its own. */
  private asked: Step | undefined;
  private rpcs = 0;

  /** @param onSlowRpc called for each RPC that takes a millisecond. */
  constructor(private readonly onSlowRpc: () => void) {}

  readonly faults: Faults = {
    smc: (call) => {
      if (isFastCall(call.a0)) return undefined;
      const lie = this.due('lie-instead');
      if (lie === undefined) return undefined;
      return registersOf(lie.registers, undefined);
    },
    smcReturn: (registers, call) => {
      if (isFastCall(call.a0)) return undefined;
      const lie = this.due('lie-return');
      if (lie === undefined) return undefined;
      return registersOf(lie.registers, registers);
    },
    answer: (message) => {
      const lie = this.due('lie-answer');
      if (lie !== undefined) changeMessage(message, lie);
    },
    rpc: ({ message }) => {
      if (++this.rpcs > quickRpcs) this.onSlowRpc();
      if (message !== undefined && this.asked !== undefined) ask(message, this.asked);
      this.asked = undefined;
      const lie = message === undefined ? undefined : this.due('lie-rpc');
      if (lie !== undefined && message !== undefined) changeMessage(message, lie);
      return this.due('ask-twice') === undefined ? undefined : 'twice';
    },
    refuseMemory: () => this.due('refuse-memory') !== undefined,
    trustedApplication: () => {
      const panics = this.due('panics');
      if (panics !== undefined) return { panic: Number(panics.code) };
      const returns = this.due('returns');
      return returns === undefined ? undefined : { result: Number(returns.result) };
    },
  };

  arm(step: Step): void {
    this.armed.push({ step, left: Number(step.after) });
  }

  ask(step: Step): void {
    this.asked = step;
  }

  disarm(): void {
    this.rpcs = 0;
    this.armed = [];
    this.asked = undefined;
  }

  private due(kind: string): Step | undefined {
    if (this.armed.length === 0) return undefined;
    const index = this.armed.findIndex(({ step }) => step.kind === kind);
    const found = this.armed[index];
    if (found === undefined) return undefined;
    if (found.left-- > 0) return undefined;
    this.armed.splice(index, 1);
    return found.step;
  }
}

function registersOf(list: FuzzValue | undefined, or: ReturnType<typeof smcRegisters> | undefined) {
  const given = Array.isArray(list) ? (list as readonly number[]) : [];
  const was = or ?? smcRegisters(0);
  const { a0, a1, a2, a3, a4, a5, a6, a7 } = was;
  const all = [a0, a1, a2, a3, a4, a5, a6, a7].map((register, index) => given[index] ?? register);
  return smcRegisters(all[0] ?? 0, ...all.slice(1));
}

function ask(message: MsgArg, { command, parameters }: Step): void {
  const list = Array.isArray(parameters) ? (parameters as readonly FuzzValue[]) : [];
  message.cmd = Number(command);
  message.paramCount = list.length;
  list.slice(0, message.paramCapacity).forEach((each, index) => {
    const { attr, a, b, c } = recordOf(each) ?? {};
    message.setParam(index, Number(attr), Number(a), Number(b), Number(c));
  });
}
