import type { Context, KernelContext } from '../../client/context.js';
import type { Tee } from '../../client/tee.js';
import type { Clock } from '../../clock/clock.js';
import { type Random, seededRandom } from '../../clock/random.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { badParameters, TeecError } from '../../tee/teec-error.js';
import type { Trace } from '../../trace/trace.js';
import type { ClientRecord, Death, FailedCall } from '../journal/client-record.js';
import type { Locks } from '../journal/locks.js';
import type { Invocation, OpenCall, RunJournal, ServiceRequest, Task } from '../journal/run-journal.js';
import type { Freezer } from '../pieces/freezer.js';
import type { Processors } from '../pieces/processors.js';
import type { RunningApplication } from '../pieces/running-application.js';
import { Turns } from '../pieces/turns.js';
import type { Scenario } from '../scenario.js';
import { Caller, type CallerSurroundings, CallerTask } from './caller.js';
import { callerSeed } from './caller-seed.js';
import { ending } from './ending.js';
import { HungClients } from './hung-clients.js';
import type { Belongings, RunningClient } from './running-client.js';

/** The clients of a scenario: active ones, and passive ones, which make calls for services. */
export class Clients {
  readonly records: ReadonlyMap<string, ClientRecord>;
  private readonly active: RunningClient[] = [];
  private readonly belongings: { readonly label: string; readonly has: Belongings }[] = [];
  /** Clients with their own sessions, by name; the last one if there are several. */
  private readonly owners = new Map<string, RunningClient>();
  private readonly passive = new Map<string, RunningClient & { readonly turns: Turns<ServiceRequest> }>();
  /** Contexts that are open, by label. */
  private readonly contexts = new Map<
    string,
    { readonly context: Context | KernelContext; readonly record: ClientRecord }
  >();
  private readonly endings: Promise<void>[] = [];
  readonly deaths: Death[] = [];
  /** Called when all resources of a dead client have been released. */
  onGone: ((label: string) => void) | undefined;
  /** Labels of clients that closed a session by a step, or at the end of a round. */
  readonly closeThemselves = new Set<string>();
  private readonly hung = new HungClients();
  readonly failed: FailedCall[] = [];
  /** Invocations that fail because the call of a passive client for them failed. */
  readonly failedFor = new Set<Invocation>();

  constructor(
    scenario: Scenario,
    private readonly seed: number,
    private readonly applications: ReadonlyMap<string, RunningApplication>,
    private readonly journal: RunJournal,
    private readonly clock: Clock,
    private readonly trace: Trace,
    private readonly world: {
      /** Send a notification from an interrupt handler of secure world. */
      notify(notification: number): void;
      /** Waits until the schedule lets this actor take the step; undefined if the schedule does not control it. */
      turn(actor: string, step: string): Promise<void> | undefined;
      readonly locks: Locks<OpenCall>;
      readonly processors: Processors;
      readonly freezer: Freezer;
    },
  ) {
    this.records = new Map(
      Array.from(scenario.clients.values(), (client) => [
        client.name,
        {
          client,
          latencies: [],
          failures: new Map(),
          worst: undefined,
          systemSessions: { asked: 0, granted: 0 },
          deaths: 0,
        },
      ]),
    );
  }

  /** Open all sessions one after the other. The run begins when all are open. */
  async open(tee: Tee): Promise<void> {
    for (const record of this.records.values()) {
      const { client } = record;
      for (let index = 1; index <= client.count; index++) {
        const label = client.count === 1 ? client.name : `${client.name} ${index}`;
        const running = await this.runningOf(tee, record, label, index - 1).catch((error: unknown) => {
          // For example BUSY: a client without a session makes no calls.
          countFailure(record, error);
          return undefined;
        });
        if (running === undefined) continue;
        if (client.threadOf === undefined) this.owners.set(client.name, running);
        if (client.passive) this.passive.set(client.name, { ...running, turns: new Turns() });
        else this.active.push(running);
      }
    }
  }

  /** Start the active clients. Resolves when all clients with a finite number of rounds have ended, if any. */
  async work(): Promise<void> {
    const ends: Promise<void>[] = [];
    // Clients that repeat forever; they end only on a failure.
    const others: Promise<void>[] = [new Promise(() => {})];
    const surroundings = this.surroundings();
    this.active.forEach((running, index) => {
      for (let thread = 0; thread < running.client.callers; thread++) {
        const random = seededRandom(callerSeed(this.seed, index, thread));
        const caller = new Caller(running, running.number, random, surroundings);
        const work = this.hung.untilDoneOrHung(running.label, caller.work());
        (Number.isFinite(running.client.repeat) ? ends : others).push(work);
      }
    });
    // A client whose session could not be opened has ended.
    const someEnd = [...this.records.values()].some(({ client }) => !client.passive && Number.isFinite(client.repeat));
    await Promise.race([Promise.all(others), ...(someEnd ? [Promise.all(ends)] : [])]);
  }

  /** Make a call for a service. One at a time, because an SCMI channel is locked from send to completion. */
  async invokeFor(request: ServiceRequest, name: string, command: string): Promise<void> {
    const running = this.passive.get(name);
    if (running === undefined) {
      this.failedFor.add(request.invocation);
      throw badParameters(`invoking for a service: ${name} has no session`);
    }
    const { turns } = running;
    this.journal.waitFor(request, { for: 'client', client: name, holder: () => turns.holder });
    await turns.take(request);
    try {
      const [application = ''] = running.applications.keys();
      await this.invoke(running, application, command, request.invocation.random, request.task, request);
    } catch (error) {
      this.failedFor.add(request.invocation);
      throw error;
    } finally {
      turns.pass();
    }
  }

  /** Whether no active client has a session. */
  get idle(): boolean {
    return this.active.length === 0;
  }

  /** The number of sessions of living clients with modelled applications, as far as the clients know. */
  get sessionsHeld(): number {
    return this.belongings.reduce(
      (sum, { label, has }) => sum + (this.contexts.has(label) && !has.closed ? has.ports.size : 0),
      0,
    );
  }

  /** The number of sessions for which a system session was requested, and granted. */
  get systemSessions(): { readonly asked: number; readonly granted: number } {
    const sum = { asked: 0, granted: 0 };
    for (const { systemSessions } of this.records.values()) {
      sum.asked += systemSessions.asked;
      sum.granted += systemSessions.granted;
    }
    return sum;
  }

  /** Labels of user-space clients that have a call in flight. */
  get killableClients(): readonly string[] {
    const labels = new Set([...this.journal.openInvocations].map(({ label }) => label));
    return [...labels].filter((label) => this.contexts.get(label)?.record.client.kernel === false);
  }

  /** A call of this client never returns: the client stays as it is. */
  hangs(label: string): void {
    this.contexts.delete(label);
    this.hung.hang(label);
  }

  /** A client dies like a killed process: its resources are released as its calls return. */
  kill(label: string): void {
    const client = this.contexts.get(label);
    if (client === undefined) return;
    this.contexts.delete(label);
    client.record.deaths++;
    const death: Death = { label, at: this.clock.now(), released: undefined };
    this.deaths.push(death);
    const release = async () => {
      const inOrder = await ending(client.context.kill());
      death.released = this.clock.now();
      if (inOrder) this.onGone?.(label);
    };
    this.endings.push(release());
  }

  /** Resolves when all resources of dead clients have been released. */
  async deadClientsReleased(): Promise<void> {
    await Promise.all(this.endings);
  }

  /** Close all contexts. */
  async close(): Promise<void> {
    const living = [...this.contexts.values()];
    this.contexts.clear();
    await Promise.all(living.map(({ context }) => ending(context.close())));
  }

  private announce({ label, application, command }: { label: string; application: string; command: string }): void {
    const { trace } = this;
    if (trace.on) trace.emit({ type: 'invocation', context: label, application, command });
  }

  /** Create a client, or a further thread of an existing one. */
  private async runningOf(
    tee: Tee,
    record: ClientRecord,
    label: string,
    number: number,
  ): Promise<RunningClient | undefined> {
    const { client } = record;
    if (client.threadOf === undefined) return this.openOne(tee, record, label, number);
    const owner = this.owners.get(client.threadOf);
    return owner && { ...owner, client, record };
  }

  private async openOne(tee: Tee, record: ClientRecord, label: string, number: number): Promise<RunningClient> {
    const { client } = record;
    const applications = new Map(
      client.applications.flatMap((name) => {
        const application = this.applications.get(name);
        return application === undefined ? [] : [[name, application] as const];
      }),
    );
    const context = client.kernel ? tee.openKernelContext({ label }) : tee.openContext({ label });
    this.contexts.set(label, { context, record });
    const has: Belongings = { ports: new Map(), closed: false, closings: 0 };
    this.belongings.push({ label, has });
    const running: RunningClient = { client, label, record, applications, context, has, owner: client, number };
    if (!client.sessionEachRound)
      for (const name of applications.keys()) await this.openPort(running, name, new CallerTask(label));
    return running;
  }

  private async openPort(running: RunningClient, name: string, task: CallerTask): Promise<void> {
    const { owner: client, label, record, applications, context, has } = running;
    const application = applications.get(name);
    if (application === undefined) return;
    const random = seededRandom(0);
    const { priority } = client;
    const about = { client: client.name, label, application: name, command: 'open session', task, priority, random };
    this.announce(about);
    await this.journal.invocation(about, async (invocation) => {
      task.inside = invocation;
      try {
        const port = await application.open(context, client);
        has.ports.set(name, port);
        has.closed = false;
        record.systemSessions.asked += port.systemSessions.asked;
        record.systemSessions.granted += port.systemSessions.granted;
      } catch (error) {
        if (error instanceof TeecError)
          this.failed.push({ client, label, invocation, codeName: error.codeName, closed: has.closed });
        throw error;
      } finally {
        task.inside = undefined;
      }
    });
  }

  /** The parts of a run that callers use. */
  private surroundings(): CallerSurroundings {
    const { clock, world } = this;
    const { locks, processors, freezer } = world;
    return {
      clock,
      locks,
      processors,
      freezer,
      began: clock.now(),
      lives: (label) => this.contexts.has(label),
      openPort: async (running, task) => {
        const [name = ''] = running.applications.keys();
        await this.openPort(running, name, task).catch((error: unknown) => countFailure(running.record, error));
      },
      closePort: async ({ has, record, label }) => {
        this.closeThemselves.add(label);
        for (const port of has.ports.values())
          await port.close().catch((error: unknown) => countFailure(record, error));
        has.ports.clear();
      },
      succeeds: (running, task, application, command, random) =>
        this.succeeds(running, task, application, command, random),
      changeResources: (running, task, step) => this.changeResources(running, task, step),
      notify: async (notification) => {
        const turn = world.turn(`interrupt ${notification}`, 'come');
        if (turn !== undefined) await turn;
        world.notify(notification);
      },
    };
  }

  /** Change the session or the memory of a client while its threads run. */
  private async changeResources(
    running: RunningClient,
    task: CallerTask,
    step: 'close' | 'free' | 'system' | 'open',
  ): Promise<void> {
    const { has, record, client, label } = running;
    const [name = ''] = running.applications.keys();
    await this.world.turn(`client ${client.name}`, step);
    const port = has.ports.get(name);
    try {
      switch (step) {
        case 'close':
          has.closed = true;
          has.closings++;
          this.closeThemselves.add(label);
          await port?.closeSession?.();
          break;
        case 'free':
          await port?.free?.();
          break;
        case 'system':
          record.systemSessions.asked++;
          record.systemSessions.granted += Number(port?.systemSession?.());
          break;
        case 'open':
          if (!has.closed) break;
          await port?.free?.();
          await this.openPort(running, name, task);
          break;
        default:
          step satisfies never;
      }
    } catch (error) {
      // Another thread closed it, or the client died.
      countFailure(record, error);
    }
  }

  private async succeeds(
    running: RunningClient,
    task: CallerTask,
    application: string,
    command: string,
    random: Random,
  ): Promise<boolean> {
    const own = seededRandom(random() * 0x1_0000_0000);
    try {
      await this.invoke(running, application, command, own, task);
      return true;
    } catch (error) {
      if (!(error instanceof TeecError)) throw error;
      // The client itself cancelled the call because of its timeout, and continues.
      return running.client.timeout !== undefined && error.code === TeeResult.ERROR_CANCEL;
    }
  }

  private async invoke(
    { client, owner, label, record, applications, has }: RunningClient,
    application: string,
    command: string,
    random: Random,
    task: Task,
    forRequest?: ServiceRequest,
  ): Promise<void> {
    const begun = this.clock.now();
    const { closed, closings } = has;
    const registered = this.journal.sleptToRegister(label);
    const title = applications.get(application)?.commandTitle?.(command, owner) ?? command;
    const { priority, timeout } = client;
    const about = { client: client.name, label, application, command: title, task, priority, random };
    let begunInvocation: Invocation | undefined;
    this.announce(about);
    const patience = timeout === undefined ? undefined : this.cancelledAfter(timeout);
    try {
      await this.journal.invocation(about, (invocation) => {
        begunInvocation = invocation;
        if (task instanceof CallerTask) task.inside = invocation;
        if (forRequest !== undefined) this.journal.waitFor(forRequest, { for: 'invocation', invocation });
        const port = has.ports.get(application);
        if (port === undefined) throw badParameters(`${label} has no session`);
        return port.invoke(command, invocation.number, patience?.signal);
      });
    } catch (error) {
      countFailure(record, error);
      if (error instanceof TeecError && begunInvocation !== undefined)
        this.failed.push({
          client,
          label,
          invocation: begunInvocation,
          codeName: error.codeName,
          closed: closed || has.closings !== closings,
        });
      throw error;
    } finally {
      patience?.end();
      if (task instanceof CallerTask) task.inside = undefined;
      const latency = this.clock.now() - begun;
      record.latencies.push(latency);
      const call = begunInvocation?.call;
      if (call !== undefined && latency > (record.worst?.latency ?? 0))
        record.worst = {
          call,
          latency,
          ...this.journal.sleepOf(call),
          toRegister: this.journal.sleptToRegister(label) - registered,
        };
    }
  }

  /** A signal that aborts after `ms` milliseconds. */
  private cancelledAfter(ms: number): { readonly signal: AbortSignal; end(): void } {
    const controller = new AbortController();
    return { signal: controller.signal, end: this.clock.setTimer(ms, () => controller.abort()) };
  }
}

/** @throws the error if it is not a TeecError. */
function countFailure({ failures }: ClientRecord, error: unknown): false {
  if (!(error instanceof TeecError)) throw error;
  failures.set(error.codeName, (failures.get(error.codeName) ?? 0) + 1);
  return false;
}
