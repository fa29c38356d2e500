import type { Tee } from '../client/tee.js';
import { type Clock, sleep } from '../clock/clock.js';
import { type Random, seededRandom } from '../clock/random.js';
import { badParameters, TeecError } from '../tee/teec-error.js';
import type { RunningApplication } from './applications.js';
import { drawTime } from './duration.js';
import type { Port } from './port.js';
import type { Invocation, OpenCall, RunJournal, ServiceRequest } from './run-journal.js';
import type { Scenario, ScenarioClient } from './scenario.js';
import { Turns } from './turns.js';

/** What became of the calls of one kind of client. */
export interface ClientRecord {
  readonly client: ScenarioClient;
  /** Milliseconds from the invoke to its answer, in the order in which the answers came. */
  readonly latencies: number[];
  /** Calls that failed, by the name of their error. */
  readonly failures: Map<string, number>;
  /** The call that took longest, of those that were answered. */
  worst: LongCall | undefined;
  /** System sessions that were asked for, and granted. */
  systemSessions: { asked: number; granted: number };
}

/** A call with the milliseconds that it took, slept in the queue, and slept there although a thread was free for it. */
export interface LongCall {
  readonly call: OpenCall;
  readonly latency: number;
  readonly asleep: number;
  readonly besideFree: number;
}

/** One client, with what it calls through. */
interface RunningClient {
  readonly client: ScenarioClient;
  readonly label: string;
  readonly record: ClientRecord;
  /** None for a device of secure world. */
  readonly calls: { readonly name: string; readonly application: RunningApplication; readonly port: Port } | undefined;
}

/** The clients of a scenario: those that make calls of themselves, and the passive ones, for services. */
export class Clients {
  readonly records: ReadonlyMap<string, ClientRecord>;
  private readonly active: RunningClient[] = [];
  private readonly passive = new Map<string, RunningClient & { readonly turns: Turns<ServiceRequest> }>();

  constructor(
    scenario: Scenario,
    private readonly seed: number,
    private readonly applications: ReadonlyMap<string, RunningApplication>,
    private readonly journal: RunJournal,
    private readonly clock: Clock,
    /** An interrupt handler of secure world notifies this value. */
    private readonly notify: (notification: number) => void,
  ) {
    this.records = new Map(
      Array.from(scenario.clients.values(), (client) => [
        client.name,
        { client, latencies: [], failures: new Map(), worst: undefined, systemSessions: { asked: 0, granted: 0 } },
      ]),
    );
  }

  /** Open every session, one after the other: the run begins when all are there. */
  async open(tee: Tee): Promise<void> {
    for (const record of this.records.values()) {
      const { client } = record;
      for (let index = 1; index <= client.count; index++) {
        const label = client.count === 1 ? client.name : `${client.name} ${index}`;
        const running = await this.openOne(tee, record, label).catch((error: unknown) => {
          // Such as BUSY: a client without a session makes no calls.
          countFailure(record, error);
          return undefined;
        });
        if (running === undefined) continue;
        if (client.passive) this.passive.set(client.name, { ...running, turns: new Turns() });
        else this.active.push(running);
      }
    }
  }

  /** Let the active clients go about their work; resolves when all that end have ended, if there are such. */
  async work(): Promise<void> {
    const ends: Promise<void>[] = [];
    // These do not end, unless they fail.
    const others: Promise<void>[] = [new Promise(() => {})];
    this.active.forEach((running, index) => {
      for (let caller = 0; caller < running.client.callers; caller++) {
        const work = this.caller(running, seededRandom(mixed(this.seed, index, caller)));
        (Number.isFinite(running.client.repeat) ? ends : others).push(work);
      }
    });
    await Promise.race([Promise.all(others), ...(ends.length > 0 ? [Promise.all(ends)] : [])]);
  }

  /** A passive client makes a call for a service: one at a time, as an SCMI channel is locked from send to done. */
  async invokeFor(request: ServiceRequest, name: string, command: string): Promise<void> {
    const running = this.passive.get(name);
    if (running === undefined) throw badParameters(`invoking for a service: ${name} has no session`);
    const { turns } = running;
    request.waits = { for: 'client', client: name, holder: () => turns.holder };
    await turns.take(request);
    try {
      await this.invoke(running, command, request.invocation.random, request);
    } finally {
      turns.pass();
    }
  }

  private async openOne(tee: Tee, record: ClientRecord, label: string): Promise<RunningClient> {
    const { client } = record;
    const name = client.application;
    if (name === undefined) return { client, label, record, calls: undefined };
    const application = this.applications.get(name);
    if (application === undefined) throw new Error(`there is no application ${name}`);
    const random = seededRandom(0);
    const about = { client: client.name, label, application: name, command: 'open session', random };
    const port = await this.journal.invocation(about, () => application.open(tee, client, label));
    record.systemSessions.asked += port.systemSessions.asked;
    record.systemSessions.granted += port.systemSessions.granted;
    return { client, label, record, calls: { name, application, port } };
  }

  private async caller(running: RunningClient, random: Random): Promise<void> {
    const { client } = running;
    const { clock } = this;
    const start = drawTime(client.start, random);
    if (start > 0) await sleep(clock, start);
    let next = clock.now();
    for (let round = 0; round < client.repeat; round++) {
      if (client.every !== undefined) {
        if (round > 0) next = Math.max(clock.now(), next + drawTime(client.every, random));
        if (next > clock.now()) await sleep(clock, next - clock.now());
      }
      for (const step of client.steps) {
        if (step.step === 'wait') await sleep(clock, drawTime(step.time, random));
        else if (step.step === 'notify') this.notify(step.notification);
        // Whoever gets an error stops, as a session that is dead answers nothing else.
        else if (!(await this.succeeds(running, step.command, random))) return;
      }
    }
  }

  private async succeeds(running: RunningClient, command: string, random: Random): Promise<boolean> {
    try {
      await this.invoke(running, command, seededRandom(random() * 0x1_0000_0000));
      return true;
    } catch (error) {
      if (error instanceof TeecError) return false;
      throw error;
    }
  }

  private async invoke(
    { client, label, record, calls }: RunningClient,
    command: string,
    random: Random,
    forRequest?: ServiceRequest,
  ): Promise<void> {
    if (calls === undefined) throw new Error(`${label} has no application`);
    const { name, application, port } = calls;
    const begun = this.clock.now();
    const title = application.commandTitle?.(command, client) ?? command;
    const about = { client: client.name, label, application: name, command: title, random };
    let begunInvocation: Invocation | undefined;
    try {
      await this.journal.invocation(about, (invocation) => {
        begunInvocation = invocation;
        if (forRequest !== undefined) forRequest.waits = { for: 'invocation', invocation };
        return port.invoke(command, invocation.number);
      });
    } catch (error) {
      countFailure(record, error);
      throw error;
    } finally {
      const latency = this.clock.now() - begun;
      record.latencies.push(latency);
      const call = begunInvocation?.call;
      if (call !== undefined && latency > (record.worst?.latency ?? 0))
        record.worst = { call, latency, ...this.journal.sleepOf(call) };
    }
  }
}

/** @throws what is no error of the TEE. */
function countFailure({ failures }: ClientRecord, error: unknown): void {
  if (!(error instanceof TeecError)) throw error;
  failures.set(error.codeName, (failures.get(error.codeName) ?? 0) + 1);
}

/** A seed for one caller of one client, far from those of the others. */
function mixed(seed: number, client: number, caller: number): number {
  return (
    (Math.imul(seed ^ 0x5bd1_e995, 0x9e37_79b1) +
      Math.imul(client + 1, 0x85eb_ca6b) +
      Math.imul(caller, 0xc2b2_ae35)) >>>
    0
  );
}
