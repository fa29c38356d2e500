import type { KernelContext } from '../../client/context.js';
import { memref, none, type Parameter, type Parameters, temporary, value } from '../../client/parameters.js';
import type { KernelSession } from '../../client/session.js';
import type { SharedMemory } from '../../client/shared-memory.js';
import type { Tee } from '../../client/tee.js';
import { VirtualClock } from '../../clock/virtual-clock.js';
import { openWorld } from '../../open-world.js';
import { MemoryTaStore } from '../../supplicant/ta-store.js';
import { TeecError } from '../../tee/teec-error.js';
import { Trace } from '../../trace/trace.js';
import { simulatedTaImage } from '../../worlds/simulated/index.js';
import { type DramFile, SimulatedWorld } from '../../worlds/simulated/simulated-world.js';
import { thrown, UnhandledRejections } from '../engine/own-exceptions.js';
import type { Harness, Target } from '../engine/target.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';
import { type FuzzInput, type FuzzValue, recordOf, type Step } from '../input/grammar.js';
import { stepInWords } from '../input/step-in-words.js';
import { askedApplications } from './asked-applications.js';
import { driverGrammar, driverSeeds } from './driver-grammar.js';
import { Lies } from './lies.js';
import { StateFeatures } from './state-features.js';

/** Microtask turns to wait for a call before virtual time advances. */
const turns = 60;
const mebibyte = 2 ** 20;
const dram = { base: 0x4000_0000, size: mebibyte };
const reservedShm = { base: 0x4008_0000, size: mebibyte / 4 };
/** The content of another client's memory. It must not appear in any output. */
const secret = Buffer.from(Array.from({ length: 16 }, (_, index) => 0xa0 ^ (index * 37)));

/** The driver over a simulated secure world that violates the protocol. */
export function driverTarget(): Target {
  return {
    name: 'driver',
    grammar: driverGrammar,
    seeds: driverSeeds,
    describe: stepInWords,
    open: async () => new DriverHarness(),
  };
}

class DriverHarness implements Harness {
  readonly about = 'the driver over the simulated secure world';
  isDead = false;
  private readonly features = new StateFeatures();
  private readonly ram = new ReusedRam();
  private readonly unhandled = new UnhandledRejections();

  drain(each: (feature: number, count: number) => void): void {
    this.features.drain(each);
  }

  async execute(input: FuzzInput): Promise<readonly Verdict[]> {
    this.features.begin();
    const verdicts = await new DriverRun(this.features, this.ram).run(input);
    return [...verdicts, ...this.unhandled.drain()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isDead = true;
    this.unhandled[Symbol.dispose]();
  }
}

const images = new MemoryTaStore();
for (const application of askedApplications) images.set(application.uuid, simulatedTaImage(application));

/** RAM that is reused by consecutive TEEs: allocating it takes longer than executing an input. */
class ReusedRam {
  private readonly buffer = new ArrayBuffer(dram.size);

  take(): DramFile {
    new Uint8Array(this.buffer).fill(0);
    return { fd: -1, view: () => this.buffer, [Symbol.dispose]: () => undefined };
  }
}

/** One execution, on a TEE of its own. */
class DriverRun {
  private readonly clock = new VirtualClock();
  private readonly lies = new Lies();
  private readonly trace = new Trace(this.clock);
  private readonly world: SimulatedWorld;
  private readonly sessions: KernelSession[] = [];
  private readonly memories: SharedMemory[] = [];
  private readonly pending = new Set<Promise<void>>();
  private readonly verdicts: Verdict[] = [];
  private readonly aborts: AbortController[] = [];
  /** Set when a pseudo-TA has panicked, which ends OP-TEE. */
  private isDead = false;

  constructor(
    private readonly features: StateFeatures,
    ram: ReusedRam,
  ) {
    this.world = new SimulatedWorld({
      ...{ clock: this.clock, dram, reservedShm, faults: this.lies.faults, dramFile: () => ram.take() },
      trustedApplications: askedApplications,
    });
    void this.world.ended.then(() => {
      this.isDead = true;
    });
  }

  async run({ steps }: FuzzInput): Promise<readonly Verdict[]> {
    const tee = await this.soon(
      openWorld(this.world, { trace: this.trace, clock: this.clock, supplicant: { taStores: [images] } }),
    );
    if (tee === undefined) return [hang('The TEE does not open')];
    this.features.listen(this.trace);
    const other = tee.openContext({ label: 'other' });
    const kept = await this.soon(other.allocateSharedMemory(4096));
    kept?.bytes.set(secret);
    let context = tee.openKernelContext({ label: 'client' });
    for (const [index, { uuid }] of askedApplications.entries()) {
      const session = await this.soon(context.openSession(uuid));
      if (session !== undefined) this.sessions[index] = session;
    }
    for (const step of steps) {
      if (step.kind === 'client-dies') {
        await this.do('client-dies', () => context.kill());
        context = tee.openKernelContext({ label: 'client' });
        this.sessions.length = 0;
        this.memories.length = 0;
      } else await this.step(step, context);
    }
    this.lies.disarm();
    if (kept !== undefined && !startsWith(kept.bytes, secret))
      this.found('memory', 'The memory of another client was written');
    await this.witness(tee);
    await this.end(tee);
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
        this.lies.ask(step);
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
        await this.clock.advance(Number(step.ms));
        return;
      case 'notify':
        this.world.notify(Number(step.value));
        return;
      case 'interrupt':
        this.world.interrupt();
        return;
      default:
        this.lies.arm(step);
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
      this.pending.delete(done);
    });
    this.pending.add(done);
    for (let turn = 0; turn < turns && !settled; turn++) await undefined;
    if (!settled) await this.clock.run({ limitMs: this.clock.now(), until: () => settled });
  }

  /** The result of an operation that settles within 100 s of virtual time; undefined if it does not, or if it fails. */
  private async soon<T>(work: Promise<T>): Promise<T | undefined> {
    let result: T | undefined;
    let settled = false;
    const done = work.then(
      (value) => {
        result = value;
        settled = true;
      },
      () => {
        settled = true;
      },
    );
    for (let turn = 0; turn < turns && !settled; turn++) await undefined;
    if (!settled) await this.clock.run({ limitMs: this.clock.now() + 100_000, until: () => settled });
    if (settled) await done;
    return result;
  }

  /** After the faults, a well-behaved client must be served, unless a fault has made secure world lose threads. */
  private async witness(tee: Tee): Promise<void> {
    if (this.lies.tookThread || this.isDead || this.pending.size > 0) return;
    const context = tee.openContext({ label: 'witness' });
    const sum = await this.soon(
      (async () => {
        const session = await context.openSession(askedApplications[1].uuid);
        const [added] = await session.invoke(1, [value.inout(20, 22)]);
        return added;
      })(),
    );
    if (sum === undefined) this.found('exception', 'After the faults, a well-behaved client is not served');
    else if (sum.a !== 42) this.found('exception', `After the faults, a client gets ${sum.a} for 20 + 22`);
    await this.soon(context.close());
  }

  /** Check that every call ends, and that all resources are released. */
  private async end(tee: Tee): Promise<void> {
    const closing = tee.close().then(
      () => 'closed',
      (error: unknown) => {
        if (!(error instanceof TeecError)) this.verdicts.push(thrown('The driver, as it closed', error));
        return 'closed';
      },
    );
    const closed = await this.soon(closing);
    if (closed === undefined) {
      this.verdicts.push(hang('The TEE does not close'));
      return;
    }
    await this.soon(Promise.all(this.pending));
    if (this.pending.size > 0) this.verdicts.push(hang('A call has not returned after the TEE has closed'));
    if (tee.sharedMemoryInUse !== 0)
      this.found('leak', 'Shared memory is still allocated after the TEE has closed', `${tee.sharedMemoryInUse} bytes`);
    const { normal_in_flight: inFlight } = tee.queueState().counters;
    if (inFlight !== 0) this.found('leak', 'The queue still counts calls after the TEE has closed', String(inFlight));
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

function hang(what: string): Verdict {
  return { kind: 'hang', signature: `hang: ${what}`, what };
}

function startsWith(bytes: Uint8Array, octets: Uint8Array): boolean {
  return octets.every((octet, index) => bytes[index] === octet);
}
