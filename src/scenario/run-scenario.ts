import type { Tee } from '../client/tee.js';
import { ControlledSchedule, randomPick } from '../clock/controlled-schedule.js';
import { seededRandom } from '../clock/random.js';
import { type RunEnd, VirtualClock } from '../clock/virtual-clock.js';
import { openWorld } from '../open-world.js';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { MemoryTaStore } from '../supplicant/ta-store.js';
import { Trace, type TraceRecorder } from '../trace/trace.js';
import { SimulatedWorld, simulatedTaImage } from '../worlds/simulated/index.js';
import { tracedWorld } from '../worlds/simulated/traced-world.js';
import { scenarioApplications, scenarioFaults } from './applications.js';
import { Clients } from './clients.js';
import { type Evidence, explain, type Outcome } from './explanation.js';
import { latenciesOf, type Percentiles } from './percentiles.js';
import { RunJournal as Journal, type RunJournal } from './run-journal.js';
import type { Scenario } from './scenario.js';
import { scenarioServices } from './services.js';
import { type ThreadChange, ThreadRecorder } from './thread-recorder.js';
import { watchWakeUps } from './wake-ups.js';

export interface RunScenarioOptions {
  /** The same seed gives the same run. A whole number from 0 to 2^32-1; 1 when left out. */
  readonly seed?: number;
  /** Disciplines to run under; those of the scenario when left out. */
  readonly queues?: readonly DisciplineName[];
  readonly onProgress?: (progress: Progress) => void;
  /** What records the run under a discipline, from before its world is opened. */
  readonly record?: (queue: DisciplineName) => TraceRecorder;
}

/** How far a scenario has come; told often. */
export interface Progress {
  readonly queue: DisciplineName;
  /** Which run it is, from 1, of how many. */
  readonly run: number;
  readonly runs: number;
  /** Virtual milliseconds so far, and the most there can be. */
  readonly time: number;
  readonly limit: number;
  readonly calls: number;
}

export interface ScenarioResult {
  readonly title: string;
  readonly about: string;
  readonly seed: number;
  readonly runs: readonly RunResult[];
}

/** What became of a scenario under one discipline. Times are virtual milliseconds from when all sessions were open. */
export interface RunResult {
  readonly queue: DisciplineName;
  readonly outcome: Outcome;
  /** Why, in sentences. */
  readonly explanation: readonly string[];
  readonly duration: number;
  readonly clients: readonly ClientResult[];
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  /** Wake-ups that went to a call that was awake while another slept on. */
  readonly swallowedWakeUps: number;
  /** What each thread context did. */
  readonly threads: readonly (readonly ThreadChange[])[];
  /** How many calls slept in the queue, at each change. */
  readonly asleep: readonly { readonly time: number; readonly calls: number }[];
}

/** The calls of one kind of client: latency from the invoke to its answer. Nothing where there was no answer. */
export interface ClientResult extends Percentiles {
  readonly name: string;
  readonly system: boolean;
  /** Calls that were answered, an error being an answer. */
  readonly calls: number;
  /** Calls that were not answered when the run ended. */
  readonly unanswered: number;
  /** Answered calls, and unanswered ones, that took longer than the deadline. */
  readonly late: number;
  readonly failed: number;
}

/** Run a scenario under each discipline, each in a fresh simulated world, in virtual time. */
export async function runScenario(scenario: Scenario, options: RunScenarioOptions = {}): Promise<ScenarioResult> {
  const { seed = 1, queues = scenario.queues, onProgress } = options;
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff)
    throw new RangeError(`seed ${seed} is not a whole number from 0 to 4294967295`);
  const runs: RunResult[] = [];
  for (const queue of queues) {
    const run = runs.length + 1;
    const report =
      onProgress &&
      ((time: number, calls: number) =>
        onProgress({ queue, run, runs: queues.length, time, limit: scenario.limit, calls }));
    runs.push(await runUnder(scenario, queue, seed, report, options.record?.(queue)));
  }
  return { title: scenario.title, about: scenario.about, seed, runs };
}

async function runUnder(
  scenario: Scenario,
  queue: DisciplineName,
  seed: number,
  report: ((time: number, calls: number) => void) | undefined,
  recorder: TraceRecorder | undefined,
): Promise<RunResult> {
  const run = new Run(scenario, queue, seed);
  run.trace.describe({ title: scenario.title });
  if (recorder !== undefined) run.trace.attach(recorder);
  const opened = await run.until(run.open());
  if (opened === 'stopped') {
    run.begin();
    const end = await run.until(run.clients.work(), report);
    return run.result(end);
  }
  return run.result(opened);
}

/** One world with its clients. */
class Run {
  private readonly clock = new VirtualClock();
  private readonly schedule: ControlledSchedule;
  readonly trace = new Trace(this.clock);
  private readonly journal: RunJournal;
  private readonly recorder: ThreadRecorder;
  readonly clients: Clients;
  private readonly applications;
  private tee: Tee | undefined;
  private from = 0;
  private calls = 0;
  private asleep: { time: number; calls: number }[] = [];
  private failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly scenario: Scenario,
    private readonly queue: DisciplineName,
    seed: number,
  ) {
    const { clock, trace } = this;
    const now = () => clock.now();
    this.schedule = new ControlledSchedule(randomPick(seededRandom(seed)));
    this.journal = new Journal(now, (system) => this.recorder.freeTime(this.withheld(system)));
    this.applications = scenarioApplications(scenario, this.journal);
    const { threads, announced } = scenario.secureWorld;
    const world = new SimulatedWorld({
      threads,
      announcedThreads: announced === 0 ? false : announced,
      trustedApplications: Array.from(this.applications.values(), ({ code }) => code),
      clock,
      schedule: this.schedule,
      random: seededRandom(seed),
      ...tracedWorld(trace, scenarioFaults(scenario, this.applications)),
    });
    this.recorder = new ThreadRecorder(world, now);
    this.clients = new Clients(scenario, seed, this.applications, this.journal, clock);
    this.recordCalls(trace);
  }

  async open(): Promise<void> {
    const { scenario, clients, journal, clock, schedule, trace, queue } = this;
    const images = new MemoryTaStore();
    for (const { code } of this.applications.values()) images.set(code.uuid, simulatedTaImage(code));
    this.tee = await openWorld(this.recorder.watched, {
      queue,
      clock,
      schedule,
      trace,
      supplicant: scenario.faults.supplicantAbsent
        ? false
        : {
            taStores: [images],
            services: scenarioServices(scenario, journal, clock, (request, client, command) =>
              clients.invokeFor(request, client, command),
            ),
            onError: (error) => {
              this.failure ??= { error };
            },
          },
    });
    watchWakeUps(trace, journal, () => this.tee?.queueState());
    await this.clients.open(this.tee);
  }

  /** All sessions are open: the run proper begins, at time zero. */
  begin(): void {
    this.from = this.clock.now();
    this.calls = 0;
    this.recorder.forget();
    this.asleep = [];
  }

  /** Let virtual time go on until the work is done, or nothing can move, or the limit is there. */
  async until(work: Promise<void>, report?: (time: number, calls: number) => void): Promise<RunEnd> {
    let done = false;
    work.then(
      () => {
        done = true;
      },
      (error: unknown) => {
        this.failure ??= { error };
      },
    );
    const limitMs = this.from + this.scenario.limit;
    const end = await this.clock.run({
      schedule: this.schedule,
      limitMs,
      until: () => {
        this.recorder.look();
        report?.(this.clock.now() - this.from, this.calls);
        return done || this.failure !== undefined;
      },
    });
    if (this.failure !== undefined) throw this.failure.error;
    return end;
  }

  result(end: RunEnd): RunResult {
    const { scenario, queue, journal, recorder } = this;
    const duration = end === 'limit' ? scenario.limit : this.clock.now() - this.from;
    const systemSessions = this.systemSessions();
    const clients = Array.from(this.clients.records.values(), (record): ClientResult => {
      const { client, latencies, failures } = record;
      const open = [...journal.openInvocations].filter((invocation) => invocation.client === client.name);
      const { deadline = Number.POSITIVE_INFINITY } = client;
      const ages = open.map(({ begun }) => this.from + duration - begun);
      return {
        name: client.name,
        system: client.system,
        calls: latencies.length,
        unanswered: open.length,
        late: [...latencies, ...ages].filter((ms) => ms > deadline).length,
        failed: [...failures.values()].reduce((sum, count) => sum + count, 0),
        ...latenciesOf(latencies),
      };
    });
    const evidence: Evidence = {
      scenario,
      queue,
      end,
      now: this.from + duration,
      from: this.from,
      journal,
      clients,
      records: this.clients.records,
      systemSessions,
      queueState: this.tee?.queueState(),
      freeThreads: recorder.freeThreads,
      withheld: (system) => this.withheld(system),
    };
    return {
      queue,
      ...explain(evidence),
      duration,
      clients,
      systemSessions,
      swallowedWakeUps: journal.swallowed,
      threads: recorder.changes.map((changes) => changes.map(({ time, use }) => ({ time: time - this.from, use }))),
      asleep: this.asleep.map(({ time, calls }) => ({ time: time - this.from, calls })),
    };
  }

  private recordCalls(trace: Trace): void {
    const { journal, recorder } = this;
    let entering = 0;
    recorder.onTaken = (thread, otherFree) => {
      const call = journal.calls.get(entering);
      if (call === undefined) return;
      call.thread = thread;
      if (call.system && otherFree === 0) journal.enteredByReserve++;
    };
    trace.listen((event) => {
      if (event.type === 'world-enter') entering = event.call;
      const before = journal.asleep;
      journal.record(event);
      if (event.type === 'call-end') this.calls++;
      if (journal.asleep !== before) this.asleep.push({ time: event.time, calls: journal.asleep });
    });
  }

  private systemSessions(): { asked: number; granted: number } {
    const sum = { asked: 0, granted: 0 };
    for (const { systemSessions } of this.clients.records.values()) {
      sum.asked += systemSessions.asked;
      sum.granted += systemSessions.granted;
    }
    return sum;
  }

  /** Free threads that a call of this class must leave free, as the discipline has it. */
  private withheld(system: boolean): number {
    const { granted } = this.systemSessions();
    if (system || granted === 0) return 0;
    const each = this.queue === 'patch-v6' || this.queue === 'hand-off-c';
    return each ? granted : 1;
  }
}
