import type { Tee } from '../../client/tee.js';
import type { Clock } from '../../clock/clock.js';
import { seededRandom } from '../../clock/random.js';
import type { Schedule } from '../../clock/schedule.js';
import type { RpmbDevice } from '../../rpmb/rpmb-device.js';
import { startSupplicant } from '../../start-supplicant.js';
import type { Supplicant, SupplicantDevice } from '../../supplicant/supplicant.js';
import type { SupplicantService } from '../../supplicant/supplicant-service.js';
import { MemoryTaStore } from '../../supplicant/ta-store.js';
import { simulatedTaImage, type TrustedApplication } from '../../worlds/simulated/index.js';
import { FaultySupplicantDevice } from '../faults/faulty-supplicant-device.js';
import type { Incidents } from '../faults/incidents.js';
import type { RunFaults } from '../faults/run-faults.js';
import type { Freezer } from '../pieces/freezer.js';
import { isPaced, PacedSupplicantDevice } from '../pieces/paced-supplicant-device.js';
import type { Scenario } from '../scenario.js';
import { supplicantTurns } from './supplicant-turns.js';

/** Makes the random times of the supplicant independent of other random choices. */
const supplicantStream = 0x3c6e_f372;

/** The parts of a run that its supplicants use. */
export interface SupplicantSurroundings {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly freezer: Freezer;
  readonly services: ReadonlyMap<number, SupplicantService>;
  readonly rpmb: readonly RpmbDevice[];
  readonly codes: readonly TrustedApplication[];
  readonly faults: RunFaults;
  readonly incidents: Incidents;
  /** Whether the main phase of the run has begun. */
  begun(): boolean;
  /** An error of this program, not of the simulated system. */
  fail(error: unknown): void;
}

/** The supplicants of a run, one after the other. */
export class RunSupplicants {
  private paced: PacedSupplicantDevice | undefined;
  private readonly turns: ReturnType<typeof supplicantTurns>;

  constructor(
    private readonly scenario: Scenario,
    private readonly seed: number,
    private readonly run: SupplicantSurroundings,
  ) {
    this.turns = supplicantTurns(scenario, run.schedule, () => run.begun());
  }

  /** The ids of the calls that the present supplicant's threads serve; empty if a thread is free. */
  get busyWith(): readonly number[] {
    return this.paced?.busyWith ?? [];
  }

  start(tee: Tee): Supplicant {
    const { services, rpmb, codes, fail } = this.run;
    const images = new MemoryTaStore();
    for (const code of codes) images.set(code.uuid, simulatedTaImage(code));
    return startSupplicant(tee, {
      taStores: [images],
      services,
      ...(rpmb.length === 0 ? {} : { rpmb }),
      behind: (device) => this.behind(device),
      onError: fail,
    });
  }

  /** The device for a supplicant, with pacing and faults in front of the driver. */
  private behind(device: SupplicantDevice): SupplicantDevice {
    const { scenario, run, seed, turns } = this;
    const faulty = new FaultySupplicantDevice(device, run.faults, run.clock, run.incidents, turns);
    if (!isPaced(scenario)) return faulty;
    const random = seededRandom(seed ^ supplicantStream);
    this.paced = new PacedSupplicantDevice(faulty, scenario.supplicant, run.clock, random, run.freezer);
    return this.paced;
  }
}
