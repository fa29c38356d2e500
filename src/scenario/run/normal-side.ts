import type { Tee } from '../../client/tee.js';
import type { ControlledSchedule } from '../../clock/controlled-schedule.js';
import { seededRandom } from '../../clock/random.js';
import type { Schedule } from '../../clock/schedule.js';
import type { VirtualClock } from '../../clock/virtual-clock.js';
import { openWorld } from '../../open-world.js';
import type { DisciplineName, QueueState } from '../../optee/call-queue/call-queue.js';
import { keepsReserve } from '../../optee/call-queue/disciplines.js';
import type { DriverOptions } from '../../optee/open-driver.js';
import type { SecureWorld } from '../../protocol/secure-world.js';
import type { Supplicant } from '../../supplicant/supplicant.js';
import type { Trace } from '../../trace/trace.js';
import type { TrustedApplication } from '../../worlds/simulated/index.js';
import type { Incidents } from '../faults/incidents.js';
import { type RunFaults, withPointFaults } from '../faults/run-faults.js';
import type { Locks } from '../journal/locks.js';
import type { OpenCall, RunJournal } from '../journal/run-journal.js';
import { scenarioCards } from '../pieces/emmc.js';
import type { Freezer } from '../pieces/freezer.js';
import type { RunningApplication } from '../pieces/running-application.js';
import { type InvokeFor, type Services, scenarioServices } from '../pieces/services.js';
import type { Scenario } from '../scenario.js';
import { preempting } from './preemption.js';
import { RunSupplicants } from './run-supplicant.js';

/** Makes the random times of preemption independent of other random choices. */
const preemptionStream = 0x2545_f491;

/** The parts of a run that its normal world uses. */
export interface NormalSurroundings {
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly schedule: ControlledSchedule;
  readonly journal: RunJournal;
  readonly locks: Locks<OpenCall>;
  readonly freezer: Freezer;
  readonly faults: RunFaults;
  readonly incidents: Incidents;
  readonly applications: ReadonlyMap<string, RunningApplication>;
  readonly codes: readonly TrustedApplication[];
  readonly invokeFor: InvokeFor;
  /** Whether the main phase of the run has begun. */
  begun(): boolean;
  /** An error of this program, not of the simulated system. */
  fail(error: unknown): void;
}

/** Options for opening the driver of a run. */
export interface Opening {
  readonly queue: DisciplineName;
  readonly createQueue: DriverOptions['createQueue'];
}

/** The normal world of a run without its clients: the driver, the supplicants, and the services for RPCs. */
export class NormalSide {
  private tee: Tee | undefined;
  private readonly services: Services;
  private readonly rpmb: ReturnType<typeof scenarioCards>;
  private readonly supplicants: RunSupplicants;
  /** Ends services that would otherwise never end. */
  private end: () => void = () => {};

  constructor(
    private readonly scenario: Scenario,
    private readonly seed: number,
    private readonly run: NormalSurroundings,
  ) {
    const { clock, journal, locks, invokeFor, applications } = run;
    const ended = new Promise<void>((resolve) => {
      this.end = resolve;
    });
    this.services = scenarioServices(scenario, journal, clock, locks, invokeFor, ended);
    this.rpmb = scenarioCards(scenario, applications, { journal, clock, locks, invokeFor });
    this.supplicants = new RunSupplicants(scenario, seed, {
      ...run,
      services: this.services.ofSupplicant,
      rpmb: this.rpmb.supplicant,
    });
  }

  /** @returns the TEE, with a supplicant if the scenario has one from the start. */
  async open(world: SecureWorld, { queue, createQueue }: Opening): Promise<Tee> {
    const { scenario, run, seed, rpmb, services } = this;
    const { clock, trace, faults, incidents } = run;
    const tee = await openWorld(world, {
      queue,
      reserve: scenario.reserve && keepsReserve(queue),
      clock,
      schedule: withPointFaults(this.preempted(seed), faults, incidents),
      trace,
      rpmb: rpmb.kernel,
      i2c: services.i2c,
      createQueue,
      supplicant: false,
    });
    this.tee = tee;
    if (!scenario.faults.supplicantAbsent) incidents.startSupplicant();
    return tee;
  }

  startSupplicant(): Supplicant {
    if (this.tee === undefined) throw new Error('a supplicant without a TEE');
    return this.supplicants.start(this.tee);
  }

  /** Undefined before the driver is open. */
  get opened(): Tee | undefined {
    return this.tee;
  }

  get queueState(): QueueState | undefined {
    return this.tee?.queueState();
  }

  /** The calls that the supplicant's threads serve; empty if a thread is free. */
  get supplicantBusyWith(): readonly OpenCall[] {
    return this.supplicants.busyWith.flatMap((call) => this.run.journal.calls.get(call) ?? []);
  }

  /** End all services; no call waits for them any more. */
  endServices(): void {
    this.end();
  }

  private preempted(seed: number): Schedule {
    const { clock, schedule } = this.run;
    return preempting(schedule, clock, this.scenario.preemption, seededRandom(seed ^ preemptionStream));
  }
}
