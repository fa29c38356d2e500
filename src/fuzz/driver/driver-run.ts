import type { KernelContext } from '../../client/context.js';
import { memref, none, type Parameter, type Parameters, temporary, value } from '../../client/parameters.js';
import type { KernelSession } from '../../client/session.js';
import type { SharedMemory } from '../../client/shared-memory.js';
import { TeecError } from '../../tee/teec-error.js';
import { thrown } from '../engine/own-exceptions.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';
import { type FuzzInput, type FuzzValue, recordOf, type Step } from '../input/grammar.js';
import { askedApplications } from './asked-applications.js';
import { type DriverTee, secret, turns } from './driver-tee.js';
import type { StateFeatures } from './state-features.js';

/** A client has one session with each application when an input begins. */
const initialSessions = askedApplications.length;

/** One execution: the steps of an input, by a client of the TEE. */
export class DriverRun {
  /** Undefined in place of sessions that no step refers to. */
  private sessions: (KernelSession | undefined)[] = [];
  private readonly memories: SharedMemory[] = [];
  private readonly verdicts: Verdict[] = [];
  private readonly aborts: AbortController[] = [];

  constructor(
    private readonly features: StateFeatures,
    private readonly tee: DriverTee,
  ) {}

  async run({ steps }: FuzzInput): Promise<readonly Verdict[]> {
    const { tee } = this;
    this.sessions = await tee.openSessions(neededSessions(steps));
    for (const step of steps) {
      const { context } = tee;
      if (step.kind === 'client-dies') {
        await this.do('client-dies', () => context.kill());
        tee.replaceClient();
        this.sessions.length = 0;
        this.memories.length = 0;
      } else await this.step(step, context);
    }
    tee.lies.disarm();
    if (!tee.isSecretKept) this.found('memory', 'The memory of another client was written');
    return this.verdicts;
  }

  private async step(step: Step, context: KernelContext): Promise<void> {
    switch (step.kind) {
      case 'invoke': {
        const session = this.at(this.sessions, step.session);
        if (session === undefined) return;
        const parameters = this.parametersOf(step.parameters);
        const abort = new AbortController();
        this.aborts.push(abort);
        await this.do('invoke', async () =>
          this.look(await session.invoke(Number(step.command), parameters, { signal: abort.signal })),
        );
        return;
      }
      case 'ask': {
        this.tee.lies.ask(step);
        const session = this.sessions[0];
        if (session !== undefined) await this.do('ask', () => session.invoke(5, []));
        return;
      }
      case 'open': {
        const { uuid } = askedApplications[Number(step.application)] ?? askedApplications[0];
        const parameters = this.parametersOf(step.parameters);
        await this.do('open', async () => {
          const session = await context.openSession(uuid, { parameters });
          if (this.sessions.length < 16) this.sessions.push(session);
        });
        return;
      }
      case 'close': {
        const [session] = this.sessions.splice(Number(step.session) % Math.max(1, this.sessions.length), 1);
        if (session !== undefined) await this.do('close', () => session.close());
        return;
      }
      case 'allocate':
        await this.do(
          'allocate',
          async () => void this.memories.push(await context.allocateSharedMemory(Number(step.size))),
        );
        return;
      case 'register':
        await this.do('register', async () => {
          this.memories.push(await context.registerSharedMemory(new Uint8Array(Number(step.size))));
        });
        return;
      case 'free': {
        const [memory] = this.memories.splice(Number(step.memory) % Math.max(1, this.memories.length), 1);
        if (memory !== undefined) await this.do('free', () => memory[Symbol.asyncDispose]());
        return;
      }
      case 'system-session': {
        const session = this.at(this.sessions, step.session);
        await this.do('system-session', async () => void session?.systemSession());
        return;
      }
      case 'cancel':
        this.aborts[Number(step.session) % Math.max(1, this.aborts.length)]?.abort();
        return;
      case 'time':
        await this.tee.clock.advance(Number(step.ms));
        return;
      case 'notify':
        this.tee.world.notify(Number(step.value));
        return;
      case 'interrupt':
        this.tee.world.interrupt();
        return;
      default:
        this.tee.lies.arm(step);
    }
  }

  /**
   * Start a client's operation. If it does not settle, continue while it is pending, so that operations of clients run
   * concurrently.
   */
  private async do(name: string, work: () => Promise<unknown>): Promise<void> {
    let settled = false;
    const begun = (async () => work())().then(
      () => this.features.note(name),
      (error: unknown) => {
        if (!(error instanceof TeecError)) this.verdicts.push(thrown(`The driver, at ${name}`, error));
        else this.features.note(`${name} ${error.codeName} ${error.origin}`);
      },
    );
    const done = begun.then(() => {
      settled = true;
      this.tee.pending.delete(done);
    });
    this.tee.pending.add(done);
    for (let turn = 0; turn < turns && !settled; turn++) await undefined;
    if (!settled) await this.tee.clock.run({ limitMs: this.tee.clock.now(), until: () => settled });
  }

  /** Check that no output contains another client's memory. */
  private look(outputs: readonly unknown[]): void {
    for (const output of outputs)
      if (output instanceof Uint8Array && Buffer.from(output.buffer, output.byteOffset, output.length).includes(secret))
        this.found('memory', "An output contains another client's memory");
  }

  private found(kind: Verdict['kind'], what: string, more = ''): void {
    this.verdicts.push({
      kind,
      signature: `${kind}: ${withoutNumbers(what)}`,
      what: more === '' ? what : `${what}: ${more}`,
    });
  }

  private at<T>(list: readonly T[], index: FuzzValue | undefined): T | undefined {
    return list[Number(index) % Math.max(1, list.length)];
  }

  private parametersOf(list: FuzzValue | undefined): Parameters {
    const values = Array.isArray(list) ? (list as readonly FuzzValue[]) : [];
    return values.map((each) => this.parameterOf(each)) as unknown as Parameters;
  }

  private parameterOf(given: FuzzValue): Parameter {
    const { kind, direction: way, a, b, size, memory, offset } = recordOf(given) ?? {};
    const direction = way === 'input' || way === 'output' ? way : 'inout';
    switch (kind) {
      case 'value':
        return direction === 'output' ? value.output() : value[direction](Number(a), Number(b));
      case 'temporary':
        return temporary[direction](new Uint8Array(Number(size)));
      case 'null':
        return temporary[direction](null);
      case 'shared': {
        const shared = this.at(this.memories, memory);
        return shared === undefined ? none : memref[direction](shared, { offset: Number(offset), size: Number(size) });
      }
      default:
        return none;
    }
  }
}

/** Which of the client's initial sessions steps may refer to; all, if steps change which there are. */
function neededSessions(steps: readonly Step[]): (index: number) => boolean {
  if (steps.some(({ kind }) => kind === 'open' || kind === 'close')) return () => true;
  const needed = new Set(
    steps.flatMap(({ kind, session }) =>
      kind === 'ask' ? [0] : kind === 'invoke' || kind === 'system-session' ? [Number(session) % initialSessions] : [],
    ),
  );
  return (index) => needed.has(index);
}
