import { isDeepStrictEqual } from 'node:util';
import type { KernelContext } from '../../client/context.js';
import { value } from '../../client/parameters.js';
import type { KernelSession } from '../../client/session.js';
import type { SharedMemory } from '../../client/shared-memory.js';
import type { Tee } from '../../client/tee.js';
import { VirtualClock } from '../../clock/virtual-clock.js';
import { openWorld } from '../../open-world.js';
import type { Uuid } from '../../protocol/uuid.js';
import { MemoryTaStore } from '../../supplicant/ta-store.js';
import { TeecError } from '../../tee/teec-error.js';
import { Trace } from '../../trace/trace.js';
import { simulatedTaImage } from '../../worlds/simulated/index.js';
import { type DramFile, SimulatedWorld } from '../../worlds/simulated/simulated-world.js';
import { thrown } from '../engine/own-exceptions.js';
import { type Verdict, withoutNumbers } from '../engine/verdict.js';
import type { FuzzInput } from '../input/grammar.js';
import { askedApplications } from './asked-applications.js';
import { Lies } from './lies.js';
import type { StateFeatures } from './state-features.js';

/** Microtask turns to wait for a call before virtual time advances. The loading of an image takes 72. */
export const turns = 200;
/** The content of another client's memory. It must not appear in any output. */
export const secret = Buffer.from(Array.from({ length: 16 }, (_, index) => 0xa0 ^ (index * 37)));
/** Longest time of an operation, in milliseconds of virtual time. */
const patienceMs = 100_000;
const notServed = 'After the faults, a well-behaved client is not served';
const mebibyte = 2 ** 20;
const dram = { base: 0x4000_0000, size: mebibyte };
const reservedShm = { base: 0x4008_0000, size: mebibyte / 4 };

const images = new MemoryTaStore();
for (const application of askedApplications) images.set(application.uuid, simulatedTaImage(application));

/** Steps after which the client is another one, or has sessions of another kind. */
const changesClient = new Set(['client-dies', 'system-session']);
/** Steps with which secure world keeps to the protocol, and its applications ask for nothing. */
const withoutFault = new Set([
  ...['invoke', 'open', 'close', 'allocate', 'register', 'free', 'system-session', 'cancel', 'client-dies', 'time'],
  ...['notify', 'interrupt'],
]);
const leftInSecureWorld = (what: string) => `Secure world still has ${what} of a client that has exited`;

/** RAM that is reused by consecutive TEEs: allocating it takes longer than executing an input. */
export class ReusedRam {
  private readonly buffer = new ArrayBuffer(dram.size);

  take(): DramFile {
    new Uint8Array(this.buffer).fill(0);
    return { fd: -1, view: () => this.buffer, [Symbol.dispose]: () => undefined };
  }
}

/** What the driver and secure world hold. */
interface Held {
  readonly sharedMemory: number;
  readonly registered: number;
  readonly timers: number;
  /** The numbers of the sessions in secure world. */
  readonly sessions: readonly number[];
}

/**
 * A TEE over a simulated secure world with faults. The client of an input is that of the input before, if it holds the
 * same as then and is served; otherwise it is killed, and a witness, who stays, must be served.
 */
export class DriverTee {
  context: KernelContext;
  /** Operations of clients that have not ended. */
  readonly pending = new Set<Promise<void>>();
  private readonly verdicts: Verdict[] = [];
  /** Set when a pseudo-TA has panicked, which ends OP-TEE. */
  private isDead = false;
  /** The sessions of a client that behaves well, one with each of `askedApplications`. */
  private readonly witness: KernelSession[] = [];
  /** With the witness alone. */
  private held: Held | undefined;
  /** The client's sessions, by index in `askedApplications`. */
  private sessions: (KernelSession | undefined)[] = [];
  /** When the input began. */
  private heldAtBegin: Held | undefined;

  private constructor(
    private readonly features: StateFeatures,
    readonly clock: VirtualClock,
    readonly world: SimulatedWorld,
    readonly lies: Lies,
    private readonly tee: Tee,
    private readonly kept: SharedMemory | undefined,
  ) {
    this.context = this.newContext();
    void world.ended.then(() => {
      this.isDead = true;
    });
  }

  /** Undefined if it does not open. */
  static async open(features: StateFeatures, ram: ReusedRam): Promise<DriverTee | undefined> {
    const clock = new VirtualClock();
    const trace = new Trace(clock);
    const lies = new Lies(() => clock.elapse(1));
    const world = new SimulatedWorld({
      ...{ clock, dram, reservedShm, faults: lies.faults, dramFile: () => ram.take() },
      trustedApplications: askedApplications,
    });
    const tee = await soon(clock, openWorld(world, { trace, clock, supplicant: { taStores: [images] } }));
    if (tee === undefined) return undefined;
    features.listen(trace);
    features.pause();
    const other = tee.openKernelContext({ label: 'other' });
    const kept = await soon(clock, other.allocateSharedMemory(4096));
    kept?.bytes.set(secret);
    const opened = new DriverTee(features, clock, world, lies, tee, kept);
    for (const { uuid } of askedApplications) {
      const session = await opened.opened(other, uuid);
      if (session !== undefined) opened.witness.push(session);
    }
    await opened.askWitness();
    features.resume();
    opened.held = opened.holds();
    return opened;
  }

  /** Whether the memory of another client is as it was. */
  get isSecretKept(): boolean {
    const bytes = this.kept?.bytes;
    return bytes === undefined || secret.every((octet, index) => bytes[index] === octet);
  }

  /** The client has died: the next one has no sessions. */
  replaceClient(): void {
    this.context = this.newContext();
    this.sessions = [];
  }

  /**
   * Open the client's sessions, by index in `askedApplications`, before any fault. The client has behaved well until
   * then, so it must be served.
   * @returns its sessions; undefined in place of those that have not been needed.
   */
  async openSessions(isNeeded: (index: number) => boolean): Promise<(KernelSession | undefined)[]> {
    this.features.pause();
    for (const [index, { uuid }] of askedApplications.entries())
      if (isNeeded(index)) this.sessions[index] ??= await this.opened(this.context, uuid);
    this.features.resume();
    this.heldAtBegin = this.holds();
    return askedApplications.map((_, index) => this.sessions[index]);
  }

  /**
   * After an input: keep its client if the input did not change it and left nothing. Otherwise end it, and check that
   * the witness is served, unless a fault has taken a thread or one of the witness's sessions from it; and that secure
   * world holds nothing of the client, unless faults may be the reason.
   * @returns whether nothing is left of the input, so that this TEE can execute another one.
   */
  async renew({ steps }: FuzzInput): Promise<boolean> {
    if (this.isDead || this.pending.size > 0) return false;
    const { context, world, held, heldAtBegin } = this;
    this.features.pause();
    const mayKeepClient = !steps.some(({ kind }) => changesClient.has(kind));
    if (mayKeepClient && this.isHeldAgain(heldAtBegin) && (await this.isClientServed()))
      return this.verdicts.length === 0;
    const isOver = await this.soon(context.kill().then(() => true));
    this.replaceClient();
    if (isOver !== true || world.threads.some(({ state }) => state !== 'free')) return false;
    const { sessions, registered } = this.holds();
    if (held === undefined || !held.sessions.every((number) => sessions.includes(number))) return false;
    await this.askWitness();
    if (steps.every(({ kind }) => withoutFault.has(kind))) {
      if (sessions.length > held.sessions.length) this.found('leak', leftInSecureWorld('a session'));
      if (registered > held.registered) this.found('leak', leftInSecureWorld('shared memory'));
    }
    return this.verdicts.length === 0 && this.isHeldAgain(held);
  }

  /** Check that every call ends, and that all resources are released. */
  async close(): Promise<readonly Verdict[]> {
    const closing = this.tee.close().then(
      () => 'closed',
      (error: unknown) => {
        if (!(error instanceof TeecError)) this.verdicts.push(thrown('The driver, as it closed', error));
        return 'closed';
      },
    );
    const closed = await this.soon(closing);
    if (closed === undefined) return [...this.verdicts, hang('The TEE does not close')];
    await this.soon(Promise.all(this.pending));
    if (this.pending.size > 0) this.verdicts.push(hang('A call has not returned after the TEE has closed'));
    const inUse = this.tee.sharedMemoryInUse;
    if (inUse !== 0) this.found('leak', 'Shared memory is still allocated after the TEE has closed', `${inUse} bytes`);
    const { normal_in_flight: inFlight } = this.tee.queueState().counters;
    if (inFlight !== 0) this.found('leak', 'The queue still counts calls after the TEE has closed', String(inFlight));
    return this.verdicts;
  }

  private newContext(): KernelContext {
    return this.tee.openKernelContext({ label: 'client' });
  }

  private async opened(context: KernelContext, uuid: Uuid): Promise<KernelSession | undefined> {
    const session = await this.soon(context.openSession(uuid));
    if (session === undefined) this.found('exception', notServed);
    return session;
  }

  private async askWitness(): Promise<void> {
    for (const session of this.witness) if (!(await this.isServed(session))) this.found('exception', notServed);
  }

  /** False also if its applications have panicked. */
  private async isClientServed(): Promise<boolean> {
    for (const session of this.sessions) if (session !== undefined && !(await this.isServed(session))) return false;
    return true;
  }

  /** Whether the application adds numbers. */
  private async isServed(session: KernelSession): Promise<boolean> {
    const sum = await this.soon(session.invoke(1, [value.inout(20, 22)]).then(([added]) => added));
    if (sum !== undefined && sum.a !== 42)
      this.found('exception', `After the faults, a client gets ${sum.a} for 20 + 22`);
    return sum !== undefined;
  }

  private isHeldAgain(then: Held | undefined): boolean {
    const areThreadsFree = this.world.threads.every(({ state }) => state === 'free');
    return areThreadsFree && isDeepStrictEqual(this.holds(), then);
  }

  private holds(): Held {
    return {
      sharedMemory: this.tee.sharedMemoryInUse,
      registered: this.world.sharedMemoryCount,
      timers: this.clock.pending.length,
      sessions: this.world.sessionNumbers,
    };
  }

  private soon<T>(work: Promise<T> | undefined): Promise<T | undefined> {
    return soon(this.clock, work);
  }

  private found(kind: Verdict['kind'], what: string, more = ''): void {
    this.verdicts.push({
      kind,
      signature: `${kind}: ${withoutNumbers(what)}`,
      what: more === '' ? what : `${what}: ${more}`,
    });
  }
}

/** The result of an operation that settles within 100 s of virtual time; undefined if it does not, or if it fails. */
async function soon<T>(clock: VirtualClock, work: Promise<T> | undefined): Promise<T | undefined> {
  if (work === undefined) return undefined;
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
  if (!settled) await clock.run({ limitMs: clock.now() + patienceMs, until: () => settled });
  if (settled) await done;
  return result;
}

function hang(what: string): Verdict {
  return { kind: 'hang', signature: `hang: ${what}`, what };
}
