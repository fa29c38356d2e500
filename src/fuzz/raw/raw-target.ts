import type { SmcRegisters } from '../../protocol/conduit.js';
import { smcRegisters } from '../../protocol/conduit.js';
import {
  attrMeta,
  attrNoncontig,
  type MsgArg,
  msgArgSize,
  OpteeMsgAttr,
  OpteeMsgCmd,
} from '../../protocol/optee-msg.js';
import { lower32, OpteeSmc, OpteeSmcReturn, smcReturnInWords, upper32 } from '../../protocol/optee-smc.js';
import { pageSize } from '../../protocol/physical-memory.js';
import { TeeOrigin, TeeResult } from '../../protocol/tee-result.js';
import { type Uuid, uuidOctets } from '../../protocol/uuid.js';
import type { Machine } from '../engine/machine.js';
import type { Harness, Target } from '../engine/target.js';
import type { Verdict } from '../engine/verdict.js';
import { type FuzzInput, type FuzzValue, recordOf, type Step } from '../input/grammar.js';
import { stepInWords } from '../input/step-in-words.js';
import { RawNormalWorld } from './normal-world.js';
import { messageGrammar, messageSeeds, smcGrammar, smcSeeds } from './raw-grammar.js';
import { RawMemory, rawPages } from './raw-memory.js';
import { listOf, RawMessages } from './raw-message.js';

export interface RawOptions {
  readonly boot: () => Promise<Machine>;
  readonly isTimed: boolean;
  /** The applications that messages refer to. */
  readonly applications: readonly Uuid[];
  /** An address in secure world's own memory, which it must refuse. */
  readonly secureAddress: number;
}

/** Pages before those of the inputs that no input refers to. */
const guardPages = 4;
const guardOctet = 0xc5;
/** The initial value of a message's result, until secure world writes one. */
const unanswered = 0x0bad_0bad;
/** Executions on one machine, because the effects of inputs accumulate. */
const wornOutAfter = 20_000;
/** How often a word changes while a call is in secure world. */
const flips = 400;

const owners: Readonly<Record<string, number>> = { 'trusted-os': 50, 'trusted-os-api': 63, 'trusted-application': 48 };

/** SMCs without a driver. Target `smc`: any registers; target `message`: whole messages. */
export function rawTarget(name: 'smc' | 'message', options: RawOptions): Target {
  const isSmc = name === 'smc';
  return {
    name,
    grammar: isSmc ? smcGrammar : messageGrammar,
    isTimed: options.isTimed,
    seeds: isSmc ? smcSeeds : messageSeeds,
    describe: stepInWords,
    open: async () => new RawHarness(await options.boot(), options),
  };
}

class RawHarness implements Harness {
  private readonly memory: RawMemory;
  private readonly guard: Uint8Array;
  private readonly messages: RawMessages;
  private readonly normalWorld: RawNormalWorld;
  private sessions: number[] = [];
  private cookies: number[] = [];
  private executions = 0;
  private isSpent = false;

  constructor(
    private readonly machine: Machine,
    { applications, secureAddress }: RawOptions,
  ) {
    const { world, tee } = machine;
    const ram = world.normalWorldRam.at(-1) ?? { base: 0, size: 0 };
    const end = ram.base + ram.size;
    this.memory = new RawMemory(world.memory, end - rawPages * pageSize);
    this.guard = world.memory.window(end - (rawPages + guardPages) * pageSize, guardPages * pageSize).fill(guardOctet);
    this.messages = new RawMessages(
      this.memory,
      {
        ...{
          page: this.memory.page(8),
          message: this.memory.page(0),
          reserved: tee.info.reservedShm?.base ?? ram.base,
        },
        ...{ secure: secureAddress, core: secureAddress + 0x10_0000, zero: 0, end, far: 2 ** 48 },
      },
      applications,
    );
    this.normalWorld = new RawNormalWorld(world.conduit, this.memory, [28, 29, 30, 31]);
  }

  get about(): string {
    return this.machine.about;
  }

  get isDead(): boolean {
    return this.isSpent || this.machine.isDead;
  }

  drain(each: (feature: number, count: number) => void): void {
    this.machine.drain(each);
  }

  execute(input: FuzzInput): Promise<readonly Verdict[]> {
    return this.machine.execute(
      () => this.run(input),
      () => undefined,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isSpent = true;
    await this.machine[Symbol.asyncDispose]();
  }

  private async run({ steps }: FuzzInput): Promise<readonly Verdict[]> {
    const verdicts: Verdict[] = [];
    this.memory.clear();
    this.messages.begin();
    this.isUnknown = false;
    try {
      for (const step of steps) verdicts.push(...(await this.step(step)));
      await this.tidyUp();
      verdicts.push(...(await this.leaks()));
    } catch (error) {
      // If the machine is dead, its verdicts say why.
      if (!this.machine.isDead) throw error;
    }
    if (!isAll(this.guard, guardOctet)) {
      this.guard.fill(guardOctet);
      const what = 'Secure world wrote into memory that no message refers to';
      verdicts.push({ kind: 'memory', signature: 'memory: outside all given memory', what });
    }
    if (++this.executions === wornOutAfter) this.isSpent = true;
    return verdicts;
  }

  private async step(step: Step): Promise<readonly Verdict[]> {
    switch (step.kind) {
      case 'smc': {
        const [a1, a2, a3, a4, a5, a6, a7] = listOf(step.registers).map(Number);
        const id =
          ((step.how === 'fast' ? 0x8000_0000 : 0) |
            ((owners[String(step.owner)] ?? 50) << 24) |
            Number(step.function)) >>>
          0;
        // Resumes have a step of their own, which uses the suspended threads.
        if (id === OpteeSmc.returnFromRpc) return [];
        return this.call(smcRegisters(id, a1, a2, a3, a4, a5, a6, a7), undefined);
      }
      case 'smc-at': {
        const octets = Buffer.from(String(step.octets), 'hex');
        const address = this.messages.address(step.from, step.offset);
        if (step.from === 'message' || step.from === 'page') this.put(address, octets);
        const id = (50 << 24) | Number(step.function);
        if (id === OpteeSmc.returnFromRpc) return [];
        return this.call(smcRegisters(id, upper32(address), lower32(address), Number(step.register)), undefined);
      }
      case 'resume': {
        const [a1, a2, a4, a5] = listOf(step.registers).map(Number);
        return this.call(smcRegisters(OpteeSmc.returnFromRpc, a1, a2, Number(step.thread), a4, a5), undefined);
      }
      case 'open':
        return this.open(step);
      case 'close':
        return this.send({ command: OpteeMsgCmd.closeSession, session: this.sessionAt(step.session), forget: true });
      case 'register': {
        const list = this.messages.list(step.pages) + Number(step.offset);
        const attr = OpteeMsgAttr.tmemOutput | attrNoncontig;
        return this.send({
          command: OpteeMsgCmd.registerShm,
          parameter: [attr, list, Number(step.size), Number(step.cookie)],
        });
      }
      case 'unregister':
        return this.send({
          command: OpteeMsgCmd.unregisterShm,
          parameter: [OpteeMsgAttr.rmemInput, 0, 0, Number(step.cookie)],
        });
      default: {
        const { message, address } = this.messages.write(
          step,
          this.sessionAt(step.session),
          Number(step.at) % (2 * pageSize),
        );
        return this.sendMessage(message, address, step);
      }
    }
  }

  private open({ application, login }: Step): Promise<readonly Verdict[]> {
    const address = this.memory.page(0);
    const step: Step = {
      ...bare,
      kind: 'message',
      command: OpteeMsgCmd.openSession,
      parameters: [{ kind: 'none' }, { kind: 'none' }],
    };
    const { message } = this.messages.write(step, 0, 0);
    message.setParam(0, OpteeMsgAttr.valueInput | attrMeta, 0, 0, 0);
    message.octets(0).set(uuidOctets(this.messages.application(application)));
    message.setParam(1, OpteeMsgAttr.valueInput | attrMeta, 0, 0, Number(login));
    return this.sendMessage(message, address, step);
  }

  private send(given: {
    readonly command: number;
    readonly session?: number;
    readonly parameter?: readonly [number, number, number, number];
    readonly forget?: boolean;
  }): Promise<readonly Verdict[]> {
    const { command, session = 0, parameter } = given;
    const step: Step = {
      ...bare,
      kind: 'message',
      command,
      parameters: parameter === undefined ? [] : [{ kind: 'none' }],
    };
    const { message, address } = this.messages.write(step, session, 0);
    if (parameter !== undefined) message.setParam(0, ...parameter);
    if (given.forget === true) this.sessions = this.sessions.filter((each) => each !== session);
    return this.sendMessage(message, address, step);
  }

  private async sendMessage(message: MsgArg, address: number, step: Step): Promise<readonly Verdict[]> {
    const { cmd, session } = message;
    const cookie = message.paramCapacity > 0 ? message.c(0) : 0;
    message.ret = unanswered;
    message.retOrigin = TeeOrigin.COMMS;
    const isArg = step.by === 'arg';
    const byCookie = step.by === 'registered-arg';
    const id = isArg ? OpteeSmc.callWithArg : byCookie ? OpteeSmc.callWithRegdArg : OpteeSmc.callWithRpcArg;
    const rpcAddress = isArg ? undefined : address + msgArgSize(message.paramCapacity);
    const changes = listOf(step.changes);
    const told = byCookie ? (this.cookies[0] ?? 1) : address;
    const registers = smcRegisters(id, upper32(told), lower32(told), byCookie ? Number(step.at) >>> 0 : 0);
    const verdicts = await this.call(
      registers,
      rpcAddress,
      changes.length === 0 ? undefined : () => this.flip(address, changes),
    );
    // The effect of the message is unknown in these cases.
    if (this.lastReturn === -1 || changes.length > 0 || byCookie) this.isUnknown = true;
    if (this.lastReturn !== OpteeSmcReturn.ok || changes.length > 0 || byCookie) return verdicts;
    const { ret, retOrigin } = message;
    if (ret === TeeResult.SUCCESS) {
      if (cmd === OpteeMsgCmd.openSession) this.sessions.push(message.session);
      if (cmd === OpteeMsgCmd.closeSession) this.sessions = this.sessions.filter((each) => each !== session);
      if (cmd === OpteeMsgCmd.registerShm) this.cookies.push(cookie);
      // The same cookie may have been registered twice.
      const at = cmd === OpteeMsgCmd.unregisterShm ? this.cookies.indexOf(cookie) : -1;
      if (at >= 0) this.cookies.splice(at, 1);
    }
    return [...verdicts, ...judgeAnswer(cmd, ret, retOrigin)];
  }

  private lastReturn = 0;
  /** Set if the input's effect is unknown, so that what it left is not evidence of a leak. */
  private isUnknown = false;

  private async call(
    registers: SmcRegisters,
    rpcAddress: number | undefined,
    meanwhile?: () => void,
  ): Promise<readonly Verdict[]> {
    const { returned, suspended } = await this.normalWorld.call(registers, rpcAddress, meanwhile);
    this.lastReturn = suspended ? -1 : returned.a0;
    const isYielding = (registers.a0 & 0x8000_0000) === 0;
    if (suspended || !isYielding || known.has(returned.a0)) return [];
    const what = `A yielding call returned ${smcReturnInWords(returned.a0)}`;
    return [{ kind: 'protocol', signature: `protocol: ${what}`, what }];
  }

  /** Change words back and forth while secure world has the message. */
  private flip(address: number, changes: readonly FuzzValue[]): void {
    const words = changes.map((each) => {
      const { at, to } = recordOf(each) ?? {};
      const view = this.memory.view(address + 4 * (Number(at) % 256), 4);
      return { view, was: view.getUint32(0, true), to: Number(to) };
    });
    for (let flip = 0; flip < flips; flip++)
      for (const { view, was, to } of words) view.setUint32(0, flip % 2 === 0 ? to : was, true);
  }

  /** Release what inputs left, so that everything that remains is a leak. */
  private async tidyUp(): Promise<void> {
    for (const session of this.sessions.splice(0)) await this.send({ command: OpteeMsgCmd.closeSession, session });
    for (const cookie of this.cookies.splice(0))
      await this.send({ command: OpteeMsgCmd.unregisterShm, parameter: [OpteeMsgAttr.rmemInput, 0, 0, cookie] });
    this.sessions = [];
    this.cookies = [];
    if (!(await this.normalWorld.settle())) this.isSpent = true;
  }

  private async leaks(): Promise<readonly Verdict[]> {
    if (this.isSpent) return [];
    const { a0 } = await this.machine.world.conduit.smc(smcRegisters(OpteeSmc.disableShmCache));
    if (a0 !== OpteeSmcReturn.ebusy) {
      const left = this.isUnknown ? [] : (this.machine.left?.() ?? []);
      // The leak remains, so use a fresh machine: the next input must not be blamed for it.
      if (left.length > 0 || this.isUnknown) this.isSpent = this.machine.left !== undefined;
      return left;
    }
    this.isSpent = true;
    const what = 'A thread of secure world is in use although every call has returned';
    return [{ kind: 'leak', signature: 'leak: thread', what }];
  }

  private sessionAt(session: FuzzValue | undefined): number {
    const index = Number(session);
    return this.sessions[index] ?? index;
  }

  private put(address: number, octets: Uint8Array): void {
    try {
      this.memory.bytes(address, octets.length).set(octets);
    } catch {
      // An address outside of memory is a valid input.
    }
  }
}

const bare = { by: 'rpc-arg', function: 0, session: 0, cancel: 0, more: 0, at: 0, changes: [] } as const;
const known: ReadonlySet<number> = new Set(Object.values(OpteeSmcReturn));
/** Commands whose result secure world must always write. */
const answered: ReadonlySet<number> = new Set([
  OpteeMsgCmd.openSession,
  OpteeMsgCmd.invokeCommand,
  OpteeMsgCmd.closeSession,
  OpteeMsgCmd.registerShm,
  OpteeMsgCmd.unregisterShm,
]);

function judgeAnswer(cmd: number, ret: number, origin: number): readonly Verdict[] {
  if (!answered.has(cmd)) return [];
  const what =
    ret === unanswered
      ? `Secure world reported a message with command ${cmd} as answered, but wrote no result`
      : ret !== TeeResult.SUCCESS && !(origin >= TeeOrigin.API && origin <= TeeOrigin.TRUSTED_APP)
        ? `Secure world answered command ${cmd} with an origin that does not exist`
        : undefined;
  return what === undefined ? [] : [{ kind: 'protocol', signature: `protocol: ${what}`, what }];
}

function isAll(bytes: Uint8Array, octet: number): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== octet) return false;
  return true;
}
