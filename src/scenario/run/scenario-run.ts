import type { Tee } from '../../client/tee.js';
import { type Choose, ControlledSchedule, type Pick, randomPick } from '../../clock/controlled-schedule.js';
import { seededRandom } from '../../clock/random.js';
import type { RunEnd } from '../../clock/virtual-clock.js';
import { openWorld } from '../../open-world.js';
import type { DisciplineName, QueueState } from '../../optee/call-queue/call-queue.js';
import { keepsReserve } from '../../optee/call-queue/disciplines.js';
import type { DriverOptions } from '../../optee/open-driver.js';
import type { SecureWorld } from '../../protocol/secure-world.js';
import type { Supplicant } from '../../supplicant/supplicant.js';
import { TeecError } from '../../tee/teec-error.js';
import { Trace } from '../../trace/trace.js';
import { composeFaults, SimulatedWorld, type TrustedApplication } from '../../worlds/simulated/index.js';
import { tracedWorld } from '../../worlds/simulated/traced-world.js';
import { FaultySupplicantDevice } from '../faults/faulty-supplicant-device.js';
import { bothFaults, FixedFaults } from '../faults/fixed-faults.js';
import { Incidents } from '../faults/incidents.js';
import { type RunFaults, striking } from '../faults/run-faults.js';
import { struckRun } from '../faults/struck-run.js';
import { Locks } from '../journal/locks.js';
import { type OpenCall, RunJournal } from '../journal/run-journal.js';
import { scenarioApplications, scenarioBottomHalf, scenarioFaults } from '../pieces/applications.js';
import { scenarioCards } from '../pieces/emmc.js';
import { Freezer, suspendSentences } from '../pieces/freezer.js';
import { Processors } from '../pieces/processors.js';
import { type InvokeFor, type Services, scenarioServices } from '../pieces/services.js';
import type { Scenario } from '../scenario.js';
import type { RunResult } from '../scenario-result.js';
import type { Evidence } from '../verdict/evidence.js';
import { explain } from '../verdict/explanation.js';
import { Clients } from './clients.js';
import { EnteredCalls } from './entered-calls.js';
import type { Leftovers } from './leftovers.js';
import { memoryFor } from './memory-for.js';
import { preempting } from './preemption.js';
import { RpcWaits } from './rpc-waits.js';
import { RunSupplicants } from './run-supplicant.js';
import { RunTime } from './run-time.js';
import { supplicantTurns } from './supplicant-turns.js';
import { ThreadRecorder } from './thread-recorder.js';
import { traceVerdict } from './trace-verdict.js';
import { unusableApplications } from './unusable-applications.js';

/** Sets the times lost by preemption apart from what else the seed decides. */
const preemptionStream = 0x2545_f491;

/** Likewise the times of bottom halves. */
const bottomHalfStream = 0x6a09_e667;

/** One run of a scenario: a world with its clients. */
export class ScenarioRun {
  private readonly time: RunTime;
  readonly clock;
  readonly schedule: ControlledSchedule;
  private begun = false;
  readonly trace: Trace;
  readonly journal: RunJournal;
  private readonly recorder: ThreadRecorder;
  private readonly calls: EnteredCalls;
  readonly clients: Clients;
  /** Makes the call queue when the run opens, if it is not to be the discipline's own. */
  createQueue: DriverOptions['createQueue'];
  /** Whoever acts comes to the finer points as well: see `Schedule.fine`. */
  fine = false;
  between: (world: SecureWorld) => SecureWorld = (world) => world;
  /** Told whenever nothing moves but time: nobody is held, and all that could happen has. */
  onStill: (() => void) | undefined;
  readonly incidents: Incidents;
  private readonly fixed: FixedFaults;
  private readonly faults: RunFaults;
  private readonly services: Services;
  private readonly rpmb: ReturnType<typeof scenarioCards>;
  readonly applications;
  private readonly world: SimulatedWorld;
  private tee: Tee | undefined;
  /** Lets services go that never end of themselves. */
  private end: () => void = () => {};
  private readonly rpcWaits: RpcWaits;
  private readonly locks: Locks<OpenCall>;
  private readonly freezer: Freezer;
  private readonly supplicants: RunSupplicants;

  constructor(
    readonly scenario: Scenario,
    private readonly queue: DisciplineName,
    private readonly seed: number,
    /** Who goes where the order is open; the seed decides when left out. */
    pick: Pick = randomPick(seededRandom(seed)),
    /** What happens where something could; the usual when left out. */
    choose?: Choose,
    /** Faults besides those of the file. */
    chosen: (choose: Choose) => RunFaults = () => ({}),
  ) {
    this.time = new RunTime(scenario.limit);
    const { clock } = this.time;
    const trace = new Trace(clock);
    this.clock = clock;
    this.trace = trace;
    const now = () => clock.now();
    const others = chosen((actor, options) => this.schedule.choose(actor, options));
    this.fixed = new FixedFaults(scenario.faults);
    this.faults = bothFaults(this.fixed, others);
    this.schedule = new ControlledSchedule(pick, choose);
    this.journal = new RunJournal(now, (system) => this.recorder.freeTime(this.withheld(system)));
    this.locks = new Locks(scenario, now);
    this.freezer = new Freezer(clock, trace);
    const processors = new Processors(scenario.cpus);
    this.applications = scenarioApplications(scenario, this.journal, processors);
    const { threads, announced, abi } = scenario.secureWorld;
    const ofFile = scenarioFaults(scenario, this.applications);
    const inSecureWorld = others.secureWorld?.(struckRun(scenario, () => this));
    this.world = new SimulatedWorld({
      abi,
      threads,
      ...memoryFor(scenario),
      announcedThreads: announced === 0 ? false : announced,
      trustedApplications: this.codes,
      clock,
      schedule: this.schedule,
      random: seededRandom(seed),
      notificationDriver: scenarioBottomHalf(scenario, seededRandom(seed ^ bottomHalfStream)),
      ...tracedWorld(trace, inSecureWorld === undefined ? ofFile : composeFaults(ofFile, inSecureWorld)),
    });
    this.rpcWaits = new RpcWaits(trace, this.journal);
    this.recorder = new ThreadRecorder(this.world, now);
    this.calls = new EnteredCalls(this.journal, threads);
    this.recorder.onTaken = this.calls.taken;
    this.clients = new Clients(scenario, seed, this.applications, this.journal, clock, trace, {
      notify: (notification) => this.world.notify(notification),
      turn: (actor, step) => (this.schedule.fine ? this.schedule.point(actor, step) : undefined),
      locks: this.locks,
      processors,
      freezer: this.freezer,
    });
    this.incidents = new Incidents({
      clock,
      trace,
      world: this.world,
      clients: this.clients,
      startSupplicant: () => this.startSupplicant(),
      beforeReturn: () => this.schedule.point('supplicant', 'come back'),
    });
    const invokeFor: InvokeFor = (request, client, command) => this.clients.invokeFor(request, client, command);
    const ended = new Promise<void>((resolve) => {
      this.end = resolve;
    });
    this.services = scenarioServices(scenario, this.journal, clock, this.locks, invokeFor, ended);
    this.rpmb = scenarioCards(scenario, this.applications, {
      journal: this.journal,
      clock,
      locks: this.locks,
      invokeFor,
    });
    const turns = supplicantTurns(scenario, this.schedule, () => this.begun);
    this.supplicants = new RunSupplicants(scenario, seed, {
      clock,
      freezer: this.freezer,
      services: this.services.ofSupplicant,
      rpmb: this.rpmb.supplicant,
      codes: this.codes,
      behind: (device) => new FaultySupplicantDevice(device, this.faults, clock, this.incidents, turns),
      onError: this.time.fail,
    });
    trace.listen(this.calls.record);
  }

  async open(): Promise<void> {
    const { scenario, clock, trace, queue } = this;
    const schedule = preempting(this.schedule, clock, scenario.preemption, seededRandom(this.seed ^ preemptionStream));
    this.schedule.fine = this.fine;
    this.tee = await openWorld(this.between(this.recorder.watched), {
      queue,
      reserve: scenario.reserve && keepsReserve(queue),
      clock,
      schedule: striking(schedule, this.faults, this.incidents),
      trace,
      rpmb: this.rpmb.kernel,
      i2c: this.services.i2c,
      createQueue: this.createQueue,
      supplicant: false,
    });
    if (!scenario.faults.supplicantAbsent) this.incidents.startSupplicant();
    await this.clients.open(this.tee);
  }

  private startSupplicant(): Supplicant {
    if (this.tee === undefined) throw new Error('a supplicant without a TEE');
    return this.supplicants.start(this.tee);
  }

  private get codes(): TrustedApplication[] {
    return [...this.applications.values()].flatMap(({ code }) => code ?? []);
  }

  /** The call queue at this moment; nothing before the driver is there. */
  get queueState(): QueueState | undefined {
    return this.tee?.queueState();
  }

  get sessionsInSecureWorld(): number {
    return this.world.sessionCount;
  }

  /** A call slept in the queue that ends or wakes others, or gives back what they may wait for. */
  get reliefSlept(): boolean {
    return this.calls.reliefSlept;
  }

  /** Threads of secure world that no call has. */
  get freeThreads(): number {
    return this.recorder.freeThreads.length;
  }

  /** Bytes of shared memory in use. */
  get sharedMemoryInUse(): number {
    return this.tee?.sharedMemoryInUse ?? 0;
  }

  /** Pieces of shared memory in use, by their places. */
  get sharedMemoryPlaces(): readonly (readonly [number, number])[] {
    return this.tee?.sharedMemoryPlaces ?? [];
  }

  /** What the run is at: the number of its stage, and from when its time is limited. */
  get stage(): readonly [number, number] {
    return this.time.stage;
  }

  /** The call that runs in a thread context. */
  callIn(thread: number): number {
    return this.calls.callIn(thread);
  }

  /**
   * Those who wait for an answer that will never come are killed, as a person would in the end; the run has its time
   * once more.
   * @returns false when there are none.
   */
  giveUpTheForsaken(): boolean {
    const { incidents, clients } = this;
    this.time.limitAnew();
    const forsaken = [...incidents.forsaken];
    incidents.forsaken.clear();
    for (const label of forsaken) clients.kill(label);
    return forsaken.length > 0;
  }

  /**
   * What clients had that died is given back.
   * @returns false when it is not.
   */
  async buryTheDead(): Promise<boolean> {
    return (await this.until(this.clients.deadGone())) === 'stopped';
  }

  /**
   * Everybody goes in good order.
   * @returns false when somebody cannot.
   */
  async leave(): Promise<boolean> {
    this.time.limitAnew();
    return (await this.until(this.clients.close())) === 'stopped';
  }

  /** Applications that a client who comes now cannot open a session with, each with what it was told. */
  async unusable(): Promise<string[]> {
    const { tee, applications } = this;
    if (tee === undefined || !this.incidents.supplicantPresent) return [];
    return unusableApplications(tee, applications, (work) => this.until(work));
  }

  /**
   * The TEE closes, after a run in which everybody came through.
   * @returns what is left behind: nothing of either, if all was given back.
   */
  async close(): Promise<Leftovers> {
    this.time.limitAnew();
    this.end();
    if (this.tee !== undefined) await this.until(this.closed(this.tee));
    // What the supplicant, though it is gone, was still at takes its time; until then it keeps its memory.
    await this.clock.run({ schedule: this.schedule, limitMs: this.time.limitMs });
    return {
      sessions: this.world.sessionCount,
      sharedMemoryObjects: this.world.sharedMemoryCount + this.world.ffaShareCount,
      sharedMemoryBytes: this.sharedMemoryInUse,
    };
  }

  /** That a dead secure world cannot be left in good order is no failure of the run. */
  private async closed(tee: Tee): Promise<void> {
    try {
      await tee.close({ graceMs: Number.POSITIVE_INFINITY });
    } catch (error) {
      if (!(this.incidents.panicked && error instanceof TeecError)) throw error;
    }
  }

  /** All sessions are open: the run proper begins, at time zero. */
  begin(): void {
    this.begun = true;
    this.time.begin();
    this.trace.describe({ originMs: this.time.from });
    this.calls.forget();
    this.recorder.forget();
    this.fixed.begin(this.clock, this.incidents);
    this.freezer.begin(this.scenario.faults);
  }

  /** Let virtual time go on until the work is done, or nothing can move, or the limit is there. */
  until(work: Promise<void>, report?: (time: number, calls: number) => void): Promise<RunEnd> {
    return this.time.until(work, {
      schedule: this.schedule,
      look: () => {
        this.recorder.look();
        this.rpcWaits.tell();
        if (this.onStill !== undefined && this.schedule.held.length === 0) this.onStill();
        report?.(this.time.sinceBegin, this.calls.count);
      },
      onQuiet: () => this.incidents.onQuiet(),
    });
  }

  /** @param opened all sessions could be opened. */
  result(opened: boolean, end: RunEnd): RunResult {
    const { scenario, queue, journal, recorder } = this;
    const { from, sinceBegin: duration } = this.time;
    const systemSessions = this.clients.systemSessions;
    const evidence: Evidence = {
      scenario,
      queue,
      opened,
      end,
      duration,
      from,
      journal,
      records: this.clients.records,
      systemSessions,
      queueState: this.tee?.queueState(),
      freeThreads: recorder.freeThreads,
      idleThreads: recorder.changes.flatMap((changes, thread) =>
        changes.every(({ use }) => use === 'free') ? [thread] : [],
      ),
      withheld: (system) => this.withheld(system),
      supplicantAbsent: !this.incidents.supplicantPresent && !this.supplicantToCome,
      supplicantFrozen: this.freezer.forEver,
      supplicantBusyWith: this.supplicants.busyWith.flatMap((call) => journal.calls.get(call) ?? []),
      lockWaiters: this.locks.waiters,
      incidents: [...this.incidents.sentences(from), ...suspendSentences(this.freezer, from)],
    };
    return {
      queue,
      ...explain(evidence),
      duration,
      systemSessions,
      swallowedWakeUps: journal.swallowed,
      threads: recorder.changes.map((changes) => changes.map(({ time, use }) => ({ time: time - from, use }))),
      asleep: this.calls.asleep.map(({ time, calls }) => ({ time: time - from, calls })),
    };
  }

  /** Tell the trace what became of the run. */
  conclude(result: RunResult): void {
    this.trace.describe({ verdict: traceVerdict(result, this.time.from, this.clients.records.values()) });
  }

  /** The file has one come back that is not yet there. */
  private get supplicantToCome(): boolean {
    return this.scenario.faults.supplicantLeaves.some(({ back = 0 }) => this.time.sinceBegin < back);
  }

  /** Free threads that a call of this class must leave free, as the discipline has it. */
  private withheld(system: boolean): number {
    const { granted } = this.clients.systemSessions;
    if (system || granted === 0) return 0;
    const each = this.queue === 'patch-v6' || this.queue === 'hand-off-c';
    // Of what secure world really has, one thread at least is not for system calls alone.
    return Math.min(each ? granted : 1, this.scenario.secureWorld.threads - 1);
  }
}
