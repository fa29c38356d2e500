import type { Context } from '../../client/context.js';
import { none, type Parameter, type Parameters, temporary, value } from '../../client/parameters.js';
import type { Session } from '../../client/session.js';
import { TeeOrigin, TeeResult } from '../../protocol/tee-result.js';
import { TeecError } from '../../tee/teec-error.js';
import type { Harness, Target } from '../engine/target.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';
import { type FuzzInput, type FuzzValue, recordOf, type Step } from '../input/grammar.js';
import { LeakWatch } from '../optee/leak-watch.js';
import { OpteeMachine, type OpteeUnderTest } from '../optee/optee-machine.js';
import {
  applicationGrammar,
  applicationSeeds,
  applicationStepInWords,
  type KnownApplication,
  mostSessions,
} from './application-grammar.js';
import { GivenMemory } from './given-memory.js';
import type { Surroundings, SurroundingsKind } from './surroundings.js';

/**
 * The client is replaced by a new one after a multiple of this number of executions, and leaks are checked in between.
 */
const renewEvery = 256;
/**
 * How much longer than a renewal the time between two of them is at least. A trusted application is loaded again, which
 * takes as long as hundreds of its calls.
 */
const renewalShare = 20;

/** Targets that need an application. */
export type ApplicationTargetName = 'ta' | 'pta' | 'rpc' | 'ta-image' | 'storage';

/** A trusted application or pseudo-TA: its commands in sessions, optionally with hostile surroundings. */
export function applicationTarget(
  name: ApplicationTargetName,
  known: KnownApplication,
  optee: OpteeUnderTest,
  kind?: SurroundingsKind,
): Target {
  return {
    name,
    uuid: known.uuid,
    grammar: applicationGrammar(known, kind),
    isTimed: true,
    seeds: [...(kind?.seeds ?? []), ...applicationSeeds(known)],
    describe: applicationStepInWords,
    open: async () => {
      const surroundings = kind?.make();
      const { between, tee = {} } = surroundings ?? {};
      const machine = await OpteeMachine.boot({ ...optee, tee, ...(between === undefined ? {} : { between }) });
      const leaks = new LeakWatch(machine.tee, machine.world.conduit);
      return new ApplicationHarness(machine, known.uuid, leaks, surroundings);
    },
  };
}

/**
 * Executes inputs on one application. Session 0 stays open across inputs; sessions that an input opens are closed at
 * its end. State that accumulates is found because a finding can be reproduced with the inputs executed before it.
 */
class ApplicationHarness implements Harness {
  private context: Context | undefined;
  private memory: GivenMemory | undefined;
  private first: Session | undefined;
  private firstDied = false;
  private readonly others: Session[] = [];
  private executions = 0;
  /** The last renewal, and how long it took with the execution after it; undefined before that. */
  private renewal: { readonly at: number; readonly ms: number | undefined } = { at: 0, ms: 0 };

  constructor(
    private readonly machine: OpteeMachine,
    private readonly uuid: string,
    private readonly leaks: LeakWatch,
    private readonly surroundings: Surroundings | undefined,
  ) {}

  get about(): string {
    return this.machine.about;
  }

  get isDead(): boolean {
    return this.machine.isDead;
  }

  drain(each: (feature: number, count: number) => void): void {
    this.machine.drain(each);
  }

  async execute(input: FuzzInput): Promise<readonly Verdict[]> {
    const verdicts = await this.machine.execute(
      () => this.run(input),
      () => {
        // The application sleeps, or waits for an event that does not come: end the client.
        void this.context?.kill().catch(() => undefined);
        this.forget();
      },
    );
    this.surroundings?.settle();
    // With manipulated answers, wrong results and leaks are expected.
    return this.surroundings === undefined
      ? verdicts
      : verdicts.filter(({ kind }) => kind !== 'protocol' && kind !== 'leak');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.machine[Symbol.asyncDispose]();
  }

  private async run(input: FuzzInput): Promise<readonly Verdict[]> {
    const verdicts = await this.runSteps(input);
    const { at, ms = performance.now() - at } = this.renewal;
    this.renewal = { at, ms };
    if (++this.executions % renewEvery === 0) verdicts.push(...(await this.renew()));
    return verdicts;
  }

  private async runSteps({ steps }: FuzzInput): Promise<Verdict[]> {
    const verdicts: Verdict[] = [];
    for (const step of steps) {
      if (this.machine.isDead) break;
      try {
        await this.step(step);
      } catch (error) {
        verdicts.push(...this.judge(error));
      }
      verdicts.push(...(this.memory?.check() ?? []));
    }
    for (const session of this.others.splice(0)) {
      if (this.machine.isDead) break;
      await session.close().catch((error: unknown) => verdicts.push(...this.judge(error)));
    }
    await this.loadAgain(verdicts);
    return verdicts;
  }

  private async renew(): Promise<readonly Verdict[]> {
    const { at, ms = 0 } = this.renewal;
    const now = performance.now();
    if (this.machine.isDead || now - at < renewalShare * ms) return [];
    this.renewal = { at: now, ms: undefined };
    await this.context?.close().catch(() => undefined);
    this.forget();
    return this.machine.isDead ? [] : this.leaks.look();
  }

  private async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'open': {
        if (this.others.length + 1 >= mostSessions) return;
        const { context, memory } = await this.client();
        this.others.push(await context.openSession(this.uuid, { parameters: parametersOf(step.parameters, memory) }));
        return;
      }
      case 'close': {
        const [session] = this.others.splice(Number(step.session) % (this.others.length + 1), 1);
        await session?.close();
        return;
      }
      case 'renew': {
        const sessions = [...this.others.splice(0), ...(this.first === undefined ? [] : [this.first])];
        this.first = undefined;
        for (const session of sessions) await session.close();
        return;
      }
      case 'invoke': {
        const session = await this.sessionAt(Number(step.session));
        const { memory } = await this.client();
        try {
          await session.invoke(Number(step.command), parametersOf(step.parameters, memory));
        } catch (error) {
          if (error instanceof TeecError && error.code === TeeResult.ERROR_TARGET_DEAD) await this.dropDead(session);
          throw error;
        }
        return;
      }
      default:
        this.surroundings?.apply(step);
    }
  }

  /** Open the session that stays open, if the application died with it: its loading is part of what the input costs. */
  private async loadAgain(verdicts: Verdict[]): Promise<void> {
    if (!this.firstDied || this.machine.isDead) return;
    this.firstDied = false;
    await this.sessionAt(0).catch((error: unknown) => verdicts.push(...this.judge(error)));
  }

  /** The TA instance is dead, so drop its session. */
  private async dropDead(session: Session): Promise<void> {
    await session.close().catch(() => undefined);
    if (session === this.first) {
      this.first = undefined;
      this.firstDied = true;
    }
    const index = this.others.indexOf(session);
    if (index >= 0) this.others.splice(index, 1);
  }

  private async sessionAt(index: number): Promise<Session> {
    const other = this.others[(index % (this.others.length + 1)) - 1];
    if (other !== undefined) return other;
    const { context } = await this.client();
    this.first ??= await context.openSession(this.uuid);
    return this.first;
  }

  private async client(): Promise<{ readonly context: Context; readonly memory: GivenMemory }> {
    this.context ??= this.machine.tee.openContext({ label: 'fuzz' });
    const { context } = this;
    this.memory ??= await GivenMemory.of(context);
    return { context, memory: this.memory };
  }

  private forget(): void {
    this.context = undefined;
    this.memory = undefined;
    this.first = undefined;
    this.firstDied = false;
    this.others.length = 0;
  }

  /** An error code is a valid answer. Errors that are not TEE errors, and violations of the protocol, are findings. */
  private judge(error: unknown): readonly Verdict[] {
    if (!(error instanceof TeecError)) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return [
        {
          kind: 'exception',
          signature: `exception: ${withoutNumbers(text.split('\n').slice(0, 3).join(' '))}`,
          what: `The driver threw ${text}`,
        },
      ];
    }
    const broken = error.code === TeeResult.ERROR_COMMUNICATION && error.origin === TeeOrigin.COMMS;
    if (!broken || this.machine.isDead || this.machine.wasImpatient) return [];
    const [what = ''] = error.message.split('\n');
    return [{ kind: 'protocol', signature: `protocol: ${withoutNumbers(what)}`, what }];
  }
}

function parametersOf(list: FuzzValue | undefined, memory: GivenMemory): Parameters {
  const values = Array.isArray(list) ? (list as readonly FuzzValue[]) : [];
  return values.map((each, place) => parameterOf(each, place, memory)) as unknown as Parameters;
}

function parameterOf(given: FuzzValue, place: number, memory: GivenMemory): Parameter {
  const { kind, direction, a, b, octets } = recordOf(given) ?? {};
  switch (kind) {
    case 'value':
      return direction === 'output'
        ? value.output()
        : direction === 'input'
          ? value.input(Number(a), Number(b))
          : value.inout(Number(a), Number(b));
    case 'memref':
      return memory.give(place, String(direction), new Uint8Array(Buffer.from(String(octets), 'hex')));
    case 'null-memref':
      return temporary[direction === 'input' || direction === 'output' ? direction : 'inout'](null);
    default:
      return none;
  }
}
