import type { Tee } from '../../client/tee.js';
import { type Choose, ControlledSchedule, type Pick, randomPick } from '../../clock/controlled-schedule.js';
import { seededRandom } from '../../clock/random.js';
import type { RunEnd, VirtualClock } from '../../clock/virtual-clock.js';
import type { DisciplineName, QueueState } from '../../optee/call-queue/call-queue.js';
import type { DriverOptions } from '../../optee/open-driver.js';
import type { SecureWorld } from '../../protocol/secure-world.js';
import { TeecError } from '../../tee/teec-error.js';
import { Trace } from '../../trace/trace.js';
import { bothFaults, FixedFaults } from '../faults/fixed-faults.js';
import { Incidents } from '../faults/incidents.js';
import type { RunFaults } from '../faults/run-faults.js';
import { secureFaultEffects } from '../faults/secure-fault-effects.js';
import { Locks } from '../journal/locks.js';
import { type OpenCall, RunJournal } from '../journal/run-journal.js';
import { Freezer, suspendSentences } from '../pieces/freezer.js';
import { Processors } from '../pieces/processors.js';
import type { RunningApplication } from '../pieces/running-application.js';
import type { Scenario } from '../scenario.js';
import type { RunResult } from '../scenario-result.js';
import { Clients } from './clients.js';
import type { Leftovers } from './leftovers.js';
import { NormalSide } from './normal-side.js';
import { RpcWaits } from './rpc-waits.js';
import { runResult } from './run-result.js';
import { RunTime } from './run-time.js';
import { SecureSide } from './secure-side.js';
import { traceVerdict } from './trace-verdict.js';
import { unusableApplications } from './unusable-applications.js';

/** One run of a scenario, in stages: opening, the main phase, leaving, closing. */
export class ScenarioRun {
  readonly schedule: ControlledSchedule;
  readonly trace: Trace;
  readonly journal: RunJournal;
  readonly clients: Clients;
  readonly incidents: Incidents;
  /** Creates the call queue when the run opens. Default: the discipline's own. */
  createQueue: DriverOptions['createQueue'];
  /** Whether actors also call `point` at the fine-grained points: see `Schedule.fine`. */
  fine = false;
  between: (world: SecureWorld) => SecureWorld = (world) => world;
  /** Called whenever only time can advance: no actor is held, and all work is done. */
  onStill: (() => void) | undefined;
  private readonly time: RunTime;
  private begun = false;
  private readonly fixed: FixedFaults;
  private readonly locks: Locks<OpenCall>;
  private readonly freezer: Freezer;
  private readonly rpcWaits: RpcWaits;
  private readonly secure: SecureSide;
  private readonly normal: NormalSide;

  constructor(
    readonly scenario: Scenario,
    private readonly queue: DisciplineName,
    seed: number,
    /** Chooses the next actor. Default: from the seed. */
    pick: Pick = randomPick(seededRandom(seed)),
    /** Chooses what happens to an actor. Default: the normal course. */
    choose?: Choose,
    /** Faults in addition to those of the file. */
    chosen: (choose: Choose) => RunFaults = () => ({}),
  ) {
    this.time = new RunTime(scenario.limit);
    const { clock } = this.time;
    const now = () => clock.now();
    const trace = new Trace(clock);
    const schedule = new ControlledSchedule(pick, choose);
    const others = chosen((actor, options) => schedule.choose(actor, options));
    const journal = new RunJournal(now, (system) => this.secure.recorder.freeTime(this.withheld(system)));
    const processors = new Processors(scenario.cpus);
    this.trace = trace;
    this.schedule = schedule;
    this.journal = journal;
    this.fixed = new FixedFaults(scenario.faults);
    this.locks = new Locks(scenario, now);
    this.freezer = new Freezer(clock, trace);
    this.rpcWaits = new RpcWaits(trace, journal);
    this.secure = new SecureSide(scenario, seed, {
      clock,
      trace,
      schedule,
      journal,
      processors,
      faults: others.secureWorld?.(secureFaultEffects(scenario, () => this)),
    });
    const { applications, codes, world } = this.secure;
    this.clients = new Clients(scenario, seed, applications, journal, clock, trace, {
      notify: (notification) => world.notify(notification),
      turn: (actor, step) => (schedule.fine ? schedule.point(actor, step) : undefined),
      locks: this.locks,
      processors,
      freezer: this.freezer,
    });
    this.incidents = new Incidents({
      clock,
      trace,
      world,
      clients: this.clients,
      startSupplicant: () => this.normal.startSupplicant(),
      beforeReturn: () => schedule.point('supplicant', 'come back'),
    });
    this.normal = new NormalSide(scenario, seed, {
      clock,
      trace,
      schedule,
      journal,
      locks: this.locks,
      freezer: this.freezer,
      faults: bothFaults(this.fixed, others),
      incidents: this.incidents,
      applications,
      codes,
      invokeFor: (request, client, command) => this.clients.invokeFor(request, client, command),
      begun: () => this.begun,
      fail: this.time.fail,
    });
  }

  async open(): Promise<void> {
    const { queue, createQueue } = this;
    this.schedule.fine = this.fine;
    const tee = await this.normal.open(this.between(this.secure.recorder.watched), { queue, createQueue });
    await this.clients.open(tee);
  }

  get clock(): VirtualClock {
    return this.time.clock;
  }

  get applications(): ReadonlyMap<string, RunningApplication> {
    return this.secure.applications;
  }

  /** The present state of the call queue; undefined before the driver is open. */
  get queueState(): QueueState | undefined {
    return this.normal.queueState;
  }

  get sessionsInSecureWorld(): number {
    return this.secure.sessions;
  }

  /** Whether a relief call slept in the queue. */
  get reliefSlept(): boolean {
    return this.secure.calls.reliefSlept;
  }

  /** The number of threads of secure world without a call. */
  get freeThreads(): number {
    return this.secure.recorder.freeThreads.length;
  }

  /** Allocated bytes of shared memory. */
  get sharedMemoryInUse(): number {
    return this.normal.opened?.sharedMemoryInUse ?? 0;
  }

  /** Allocated pieces of shared memory: address and size. */
  get sharedMemoryPlaces(): readonly (readonly [number, number])[] {
    return this.normal.opened?.sharedMemoryPlaces ?? [];
  }

  /** The number of the present stage, and the start of its limited time. */
  get stage(): readonly [number, number] {
    return this.time.stage;
  }

  /** The id of the call that runs in a thread context. */
  callIn(thread: number): number {
    return this.secure.calls.callIn(thread);
  }

  /**
   * Kill the clients that wait for an answer that will never come, as a user would. The time limit then starts again.
   * @returns false if there are none.
   */
  killUnansweredClients(): boolean {
    const { incidents, clients } = this;
    this.time.limitAnew();
    const unansweredClients = [...incidents.unansweredClients];
    incidents.unansweredClients.clear();
    for (const label of unansweredClients) clients.kill(label);
    return unansweredClients.length > 0;
  }

  /**
   * Wait until all resources of dead clients are released.
   * @returns false if that does not happen within the limit.
   */
  async releaseDeadClients(): Promise<boolean> {
    return (await this.until(this.clients.deadClientsReleased())) === 'stopped';
  }

  /**
   * Close all clients.
   * @returns false if one cannot be closed within the limit.
   */
  async leave(): Promise<boolean> {
    this.time.limitAnew();
    return (await this.until(this.clients.close())) === 'stopped';
  }

  /** Applications with which a new client cannot open a session, each with the error. */
  async unusable(): Promise<string[]> {
    const { opened } = this.normal;
    if (opened === undefined || !this.incidents.supplicantPresent) return [];
    return unusableApplications(opened, this.applications, (work) => this.until(work));
  }

  /**
   * Close the TEE, after a run in which all clients finished.
   * @returns the resources that were not released; all counts are zero if there are none.
   */
  async close(): Promise<Leftovers> {
    this.time.limitAnew();
    this.normal.endServices();
    const { opened } = this.normal;
    if (opened !== undefined) await this.until(this.closed(opened));
    // A supplicant that has left may still serve a request, and keeps its memory until the request is done.
    await this.clock.run({ schedule: this.schedule, limitMs: this.time.limitMs });
    return {
      sessions: this.secure.sessions,
      sharedMemoryObjects: this.secure.sharedMemoryObjects,
      sharedMemoryBytes: this.sharedMemoryInUse,
    };
  }

  /** Closing a dead secure world fails; that is not a failure of the run. */
  private async closed(tee: Tee): Promise<void> {
    try {
      await tee.close({ graceMs: Number.POSITIVE_INFINITY });
    } catch (error) {
      if (!(this.incidents.panicked && error instanceof TeecError)) throw error;
    }
  }

  /** All sessions are open: the main phase begins at time zero. */
  begin(): void {
    this.begun = true;
    this.time.begin();
    this.trace.describe({ originMs: this.time.from });
    this.secure.begin();
    this.fixed.begin(this.clock, this.incidents);
    this.freezer.begin(this.scenario.faults);
  }

  /** Run virtual time until the work is done, or nothing can proceed, or the limit is reached. */
  until(work: Promise<void>, report?: (time: number, calls: number) => void): Promise<RunEnd> {
    return this.time.until(work, {
      schedule: this.schedule,
      look: () => {
        this.secure.recorder.look();
        this.rpcWaits.tell();
        if (this.onStill !== undefined && this.schedule.held.length === 0) this.onStill();
        report?.(this.time.sinceBegin, this.secure.calls.count);
      },
      onQuiet: () => this.incidents.onQuiet(),
    });
  }

  /** @param opened whether all sessions could be opened. */
  result(opened: boolean, end: RunEnd): RunResult {
    const { scenario, queue, journal, clients, incidents, freezer, secure } = this;
    const { from, sinceBegin: duration } = this.time;
    return runResult(
      {
        scenario,
        queue,
        opened,
        end,
        duration,
        from,
        journal,
        records: clients.records,
        systemSessions: clients.systemSessions,
        queueState: this.queueState,
        freeThreads: secure.recorder.freeThreads,
        idleThreads: secure.idleThreads,
        withheld: (system) => this.withheld(system),
        supplicantAbsent: !incidents.supplicantPresent && !this.supplicantToCome,
        supplicantFrozen: freezer.forEver,
        supplicantBusyWith: this.normal.supplicantBusyWith,
        lockWaiters: this.locks.waiters,
        incidents: [...incidents.sentences(from), ...suspendSentences(freezer, from)],
      },
      secure,
    );
  }

  /** Write the verdict on the run to the trace. */
  conclude(result: RunResult): void {
    this.trace.describe({ verdict: traceVerdict(result, this.time.from, this.clients.records.values()) });
  }

  /** Whether the file has a supplicant that has not returned yet. */
  private get supplicantToCome(): boolean {
    return this.scenario.faults.supplicantLeaves.some(({ back = 0 }) => this.time.sinceBegin < back);
  }

  /** The number of free threads that the discipline withholds from calls of this class. */
  private withheld(system: boolean): number {
    const { granted } = this.clients.systemSessions;
    if (system || granted === 0) return 0;
    const each = this.queue === 'patch-v6' || this.queue === 'hand-off-c';
    // At least one thread is not reserved for system calls.
    return Math.min(each ? granted : 1, this.scenario.secureWorld.threads - 1);
  }
}
