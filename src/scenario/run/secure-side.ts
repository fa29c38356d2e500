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

/** Makes the random times of bottom halves independent of other random choices. */
const bottomHalfStream = 0x6a09_e667;

/** The parts of a run that its secure world uses. */
export interface SecureSurroundings {
  readonly clock: Clock;
  readonly trace: Trace;
  readonly schedule: Schedule;
  readonly journal: RunJournal;
  readonly processors: Processors;
  /** In addition to the faults of the file. */
  readonly faults: Faults | undefined;
}

/** Secure world of a run: its applications, the world itself, and the recorder of its threads. */
export class SecureSide {
  readonly applications: ReadonlyMap<string, RunningApplication>;
  /** The code of the applications: a supplicant loads their images. */
  readonly codes: readonly TrustedApplication[];
  readonly world: SimulatedWorld;
  readonly recorder: ThreadRecorder;
  /** Maps calls to threads. */
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
    trace.watch(this.calls.record);
  }

  /** The main phase begins: reset everything that was recorded before. */
  begin(): void {
    this.calls.forget();
    this.recorder.forget();
  }

  get sessions(): number {
    return this.world.sessionCount;
  }

  /** The number of shared memory objects that secure world has. */
  get sharedMemoryObjects(): number {
    return this.world.sharedMemoryCount + this.world.ffaShareCount;
  }

  /** Thread contexts that no call has used since the start of the run. */
  get idleThreads(): readonly number[] {
    return this.recorder.changes.flatMap((changes, thread) =>
      changes.every(({ use }) => use === 'free') ? [thread] : [],
    );
  }
}
