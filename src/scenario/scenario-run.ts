import type { Tee } from '../client/tee.js';
import { type Choose, ControlledSchedule, type Pick, randomPick } from '../clock/controlled-schedule.js';
import { seededRandom } from '../clock/random.js';
import { type RunEnd, VirtualClock } from '../clock/virtual-clock.js';
import { openWorld } from '../open-world.js';
import type { DisciplineName, QueueState } from '../optee/call-queue/call-queue.js';
import type { DriverOptions } from '../optee/open-driver.js';
import type { MemoryRange } from '../protocol/physical-memory.js';
import type { RpmbDevice } from '../rpmb/rpmb-device.js';
import { MemoryTaStore } from '../supplicant/ta-store.js';
import { Trace } from '../trace/trace.js';
import { SimulatedWorld, simulatedTaImage } from '../worlds/simulated/index.js';
import { tracedWorld } from '../worlds/simulated/traced-world.js';
import { scenarioApplications, scenarioFaults } from './applications.js';
import { Clients } from './clients.js';
import { scenarioEmmc } from './emmc.js';
import { type Evidence, explain } from './explanation.js';
import { latenciesOf } from './percentiles.js';
import { preempting } from './preemption.js';
import { RunJournal } from './run-journal.js';
import type { Scenario } from './scenario.js';
import type { ClientResult, RunResult } from './scenario-result.js';
import { type InvokeFor, scenarioServices } from './services.js';
import { ThreadRecorder } from './thread-recorder.js';

/** Sets the times lost by preemption apart from what else the seed decides. */
const preemptionStream = 0x2545_f491;

/** Memory that every scenario needs, and for each of its callers. */
const baseMemory = 2 * 1024 * 1024;
const callerMemory = 64 * 1024;

/** As much memory as a scenario needs: thousands of runs must not wait for it to be cleared and collected. */
function memoryFor({ clients }: Scenario): { readonly dram: MemoryRange; readonly reservedShm: MemoryRange } {
  const callers = [...clients.values()].reduce((sum, { count, callers: each }) => sum + count * each, 0);
  const size = baseMemory + callers * callerMemory;
  const reserved = size / 4;
  const base = 0x4000_0000;
  return { dram: { base, size }, reservedShm: { base: base + size - reserved, size: reserved } };
}

/** What is still held when everybody has gone. */
export interface Leftovers {
  readonly sessions: number;
  /** Objects of shared memory that secure world holds. */
  readonly sharedMemoryObjects: number;
  readonly sharedMemoryBytes: number;
}

/** One run of a scenario: a world with its clients. */
export class ScenarioRun {
  readonly clock = new VirtualClock();
  private readonly schedule: ControlledSchedule;
  readonly trace = new Trace(this.clock);
  readonly journal: RunJournal;
  private readonly recorder: ThreadRecorder;
  readonly clients: Clients;
  /** Makes the call queue when the run opens, if it is not to be the discipline's own. */
  createQueue: DriverOptions['createQueue'];
  private readonly applications;
  private readonly world: SimulatedWorld;
  private tee: Tee | undefined;
  private from = 0;
  private calls = 0;
  private asleep: { time: number; calls: number }[] = [];
  private failure: { readonly error: unknown } | undefined;

  constructor(
    private readonly scenario: Scenario,
    private readonly queue: DisciplineName,
    private readonly seed: number,
    /** Who goes where the order is open; the seed decides when left out. */
    pick: Pick = randomPick(seededRandom(seed)),
    /** What happens where something could; the usual when left out. */
    choose?: Choose,
  ) {
    const { clock, trace } = this;
    const now = () => clock.now();
    this.schedule = new ControlledSchedule(pick, choose);
    this.journal = new RunJournal(now, (system) => this.recorder.freeTime(this.withheld(system)));
    this.applications = scenarioApplications(scenario, this.journal);
    const { threads, announced, abi } = scenario.secureWorld;
    this.world = new SimulatedWorld({
      abi,
      threads,
      ...memoryFor(scenario),
      announcedThreads: announced === 0 ? false : announced,
      trustedApplications: Array.from(this.applications.values(), ({ code }) => code),
      clock,
      schedule: this.schedule,
      random: seededRandom(seed),
      ...tracedWorld(trace, scenarioFaults(scenario, this.applications)),
    });
    this.recorder = new ThreadRecorder(this.world, now);
    this.clients = new Clients(scenario, seed, this.applications, this.journal, clock);
    this.recordCalls(trace);
  }

  async open(): Promise<void> {
    const { scenario, clients, journal, clock, trace, queue } = this;
    const schedule = preempting(this.schedule, clock, scenario.preemption, seededRandom(this.seed ^ preemptionStream));
    const images = new MemoryTaStore();
    for (const { code } of this.applications.values()) images.set(code.uuid, simulatedTaImage(code));
    const invokeFor: InvokeFor = (request, client, command) => clients.invokeFor(request, client, command);
    const rpmb = this.rpmbDevices(invokeFor);
    this.tee = await openWorld(this.recorder.watched, {
      queue,
      clock,
      schedule,
      trace,
      rpmb: rpmb.kernel,
      createQueue: this.createQueue,
      supplicant: scenario.faults.supplicantAbsent
        ? false
        : {
            taStores: [images],
            services: scenarioServices(scenario, journal, clock, invokeFor),
            ...(rpmb.supplicant.length === 0 ? {} : { rpmb: rpmb.supplicant }),
            onError: (error) => {
              this.failure ??= { error };
            },
          },
    });
    await this.clients.open(this.tee);
  }

  /** The call queue at this moment; nothing before the driver is there. */
  get queueState(): QueueState | undefined {
    return this.tee?.queueState();
  }

  /** Bytes of shared memory in use. */
  get sharedMemoryInUse(): number {
    return this.tee?.sharedMemoryInUse ?? 0;
  }

  /** The client makes calls for services only. */
  isPassive(client: string): boolean {
    return this.scenario.clients.get(client)?.passive ?? false;
  }

  /**
   * Everybody goes, after a run in which everybody came through.
   * @returns what is left behind: nothing of either, if all was given back.
   */
  async close(): Promise<Leftovers> {
    if (this.tee !== undefined) await this.until(this.tee.close());
    return {
      sessions: this.world.sessionCount,
      sharedMemoryObjects: this.world.sharedMemoryCount,
      sharedMemoryBytes: this.sharedMemoryInUse,
    };
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
    // The clock stands at the last event; whoever waits has waited until the limit.
    if (end === 'limit') await this.clock.advance(limitMs - this.clock.now());
    return end;
  }

  /** @param opened all sessions could be opened. */
  result(opened: boolean, end: RunEnd): RunResult {
    const { scenario, queue, journal, recorder } = this;
    const duration = this.clock.now() - this.from;
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
      opened,
      end,
      duration,
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

  /** The scenario's eMMC, if it has one, where its frames are carried. */
  private rpmbDevices(invokeFor: InvokeFor): Readonly<Record<'kernel' | 'supplicant', readonly RpmbDevice[]>> {
    const { scenario, journal, clock } = this;
    const devices = { kernel: [] as RpmbDevice[], supplicant: [] as RpmbDevice[] };
    const { emmc } = scenario;
    if (emmc === undefined) return devices;
    const service = this.applications.get(scenario.clients.get(emmc.agent ?? '')?.application ?? '');
    const powered = () => service?.powered?.(emmc.needs) ?? true;
    devices[emmc.rpmb].push(scenarioEmmc(emmc, { journal, clock, powered, invokeFor }));
    return devices;
  }

  private recordCalls(trace: Trace): void {
    const { journal, recorder, scenario } = this;
    let entering = 0;
    recorder.onTaken = (thread, otherFree) => {
      const call = journal.calls.get(entering);
      if (call === undefined) return;
      call.thread = thread;
      if (call.system && otherFree === 0 && scenario.secureWorld.threads > 1) journal.enteredByReserve++;
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
    // Of what secure world really has, one thread at least is not for system calls alone.
    return Math.min(each ? granted : 1, this.scenario.secureWorld.threads - 1);
  }
}
