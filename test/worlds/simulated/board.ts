import { VirtualClock } from '../../../src/clock/virtual-clock.js';
import type {
  SecureWorldEvent,
  SimulatedWorldOptions,
  TrustedApplication,
} from '../../../src/worlds/simulated/index.js';
import { SimulatedWorld, simulatedTaImage } from '../../../src/worlds/simulated/index.js';
import { NormalWorld } from './normal-world.js';
import { Supplicant } from './supplicant.js';

/** A simulated world with its normal world and supplicant, in virtual time, the images of its user TAs in place. */
export function board(options: SimulatedWorldOptions = {}) {
  const clock = options.clock instanceof VirtualClock ? options.clock : new VirtualClock();
  const events: SecureWorldEvent[] = [];
  const world = new SimulatedWorld({ ...options, clock, trace: (event) => events.push(event) });
  const supplicant = new Supplicant(clock);
  const normal = new NormalWorld(world, (message) => supplicant.answer(message));
  supplicant.normal = normal;
  const install = (ta: TrustedApplication) => supplicant.files.set(`${ta.uuid}.ta`, simulatedTaImage(ta));
  for (const ta of options.trustedApplications ?? []) if (ta.kind === 'user') install(ta);

  /** Run virtual time until nothing moves; the result of what was begun. */
  async function finish<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const watched = work.finally(() => {
      settled = true;
    });
    watched.catch(() => {});
    await clock.run();
    if (!settled) throw new Error('nothing moves any more, and the work is not done');
    return watched;
  }

  return { world, normal, supplicant, clock, events, finish };
}
