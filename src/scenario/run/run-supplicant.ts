import type { Tee } from '../../client/tee.js';
import type { Clock } from '../../clock/clock.js';
import { seededRandom } from '../../clock/random.js';
import type { RpmbDevice } from '../../rpmb/rpmb-device.js';
import { startSupplicant } from '../../start-supplicant.js';
import type { Supplicant, SupplicantDevice } from '../../supplicant/supplicant.js';
import type { SupplicantService } from '../../supplicant/supplicant-service.js';
import { MemoryTaStore } from '../../supplicant/ta-store.js';
import { simulatedTaImage, type TrustedApplication } from '../../worlds/simulated/index.js';
import type { Freezer } from '../pieces/freezer.js';
import { isPaced, PacedSupplicantDevice } from '../pieces/paced-supplicant-device.js';
import type { Scenario } from '../scenario.js';

/** Sets the times that the supplicant takes apart from what else the seed decides. */
const supplicantStream = 0x3c6e_f372;

/** What the supplicants of a run work with. */
export interface SupplicantSurroundings {
  readonly clock: Clock;
  readonly freezer: Freezer;
  readonly services: ReadonlyMap<number, SupplicantService>;
  readonly rpmb: readonly RpmbDevice[];
  readonly codes: readonly TrustedApplication[];
  /** Stands between a supplicant and the driver. */
  behind(device: SupplicantDevice): SupplicantDevice;
  onError(error: Error): void;
}

/** The supplicants of a run, one after the other. */
export class RunSupplicants {
  private paced: PacedSupplicantDevice | undefined;

  constructor(
    private readonly scenario: Scenario,
    private readonly seed: number,
    private readonly run: SupplicantSurroundings,
  ) {}

  /** The calls that the threads of the last one are at, where none of them is free. */
  get busyWith(): readonly number[] {
    return this.paced?.busyWith ?? [];
  }

  start(tee: Tee): Supplicant {
    const { services, rpmb, codes, onError } = this.run;
    const images = new MemoryTaStore();
    for (const code of codes) images.set(code.uuid, simulatedTaImage(code));
    return startSupplicant(tee, {
      taStores: [images],
      services,
      ...(rpmb.length === 0 ? {} : { rpmb }),
      behind: (device) => this.behind(device),
      onError,
    });
  }

  private behind(device: SupplicantDevice): SupplicantDevice {
    const { scenario, run, seed } = this;
    const faulty = run.behind(device);
    if (!isPaced(scenario)) return faulty;
    const random = seededRandom(seed ^ supplicantStream);
    this.paced = new PacedSupplicantDevice(faulty, scenario.supplicant, run.clock, random, run.freezer);
    return this.paced;
  }
}
