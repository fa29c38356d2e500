import type { Clock } from '../../clock/clock.js';
import { seededRandom } from '../../clock/random.js';
import type { Schedule } from '../../clock/schedule.js';
import type { Trace } from '../../trace/trace.js';
import { composeFaults, type Faults, SimulatedWorld, type TrustedApplication } from '../../worlds/simulated/index.js';
import { tracedWorld } from '../../worlds/simulated/traced-world.js';
import type { RunJournal } from '../journal/run-journal.js';
import { scenarioApplications, scenarioBottomHalf, scenarioFaults } from '../pieces/applications.js';
import type { Processors } from '../pieces/processors.js';
import type { RunningApplication } from '../pieces/running-application.js';
import type { Scenario } from '../scenario.js';
import { EnteredCalls } from './entered-calls.js';
import { memoryFor } from './memory-for.js';
import { ThreadRecorder } from './thread-recorder.js';

/** Sets the times of bottom halves apart from what else the seed decides. */
const bottomHalfStream = 0x6a09_e667;

/** What secure world shares with the rest of a run. */
export interface SecureSurroundings {
  readonly clock: Clock;
  readonly trace: Trace;
  readonly schedule: Schedule;
  readonly journal: RunJournal;
  readonly processors: Processors;
  /** Besides those of the file. */
  readonly faults: Faults | undefined;
}

/** Secure world of a run: its applications, the world that has them, and who watches its threads. */
export class SecureSide {
  readonly applications: ReadonlyMap<string, RunningApplication>;
  /** Applications as programs: their images are what a supplicant loads. */
  readonly codes: readonly TrustedApplication[];
  readonly world: SimulatedWorld;
  readonly recorder: ThreadRecorder;
  /** Which call is in which thread. */
  readonly calls: EnteredCalls;

  constructor(
    scenario: Scenario,
    seed: number,
    { clock, trace, schedule, journal, processors, faults }: SecureSurroundings,
  ) {
    this.applications = scenarioApplications(scenario, journal, processors);
    this.codes = [...this.applications.values()].flatMap(({ code }) => code ?? []);
    const { threads, announced, abi } = scenario.secureWorld;
    const ofFile = scenarioFaults(scenario, this.applications);
    this.world = new SimulatedWorld({
      abi,
      threads,
      ...memoryFor(scenario),
      announcedThreads: announced === 0 ? false : announced,
      trustedApplications: this.codes,
      clock,
      schedule,
      random: seededRandom(seed),
      notificationDriver: scenarioBottomHalf(scenario, seededRandom(seed ^ bottomHalfStream)),
      ...tracedWorld(trace, faults === undefined ? ofFile : composeFaults(ofFile, faults)),
    });
    this.recorder = new ThreadRecorder(this.world, () => clock.now());
    this.calls = new EnteredCalls(journal, threads);
    this.recorder.onTaken = this.calls.taken;
    trace.listen(this.calls.record);
  }

  /** The run proper begins: what was until now does not count. */
  begin(): void {
    this.calls.forget();
    this.recorder.forget();
  }

  get sessions(): number {
    return this.world.sessionCount;
  }

  /** Pieces of memory that secure world knows of. */
  get sharedMemoryObjects(): number {
    return this.world.sharedMemoryCount + this.world.ffaShareCount;
  }

  /** Thread contexts that no call took since the run began. */
  get idleThreads(): readonly number[] {
    return this.recorder.changes.flatMap((changes, thread) =>
      changes.every(({ use }) => use === 'free') ? [thread] : [],
    );
  }
}
