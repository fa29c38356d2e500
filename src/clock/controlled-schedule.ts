import type { Random } from './random.js';
import type { Schedule } from './schedule.js';

/** An actor that stands at a point and waits to be let go. */
export interface HeldActor {
  readonly actor: string;
  readonly step: string;
}

/** Which of those who could go (at least one, in the order in which they came) goes: an index. */
export type Pick = (held: readonly HeldActor[]) => number;

/** A pick that is the same for the same seed. */
export function randomPick(random: Random): Pick {
  return (held) => Math.floor(random() * held.length);
}

/**
 * A schedule that holds every actor at its points and lets one go at a time. `VirtualClock.run` drives it; what it let
 * go is the run's schedule.
 */
export class ControlledSchedule implements Schedule {
  readonly decides = true;
  private readonly waiting: (HeldActor & { readonly go: () => void })[] = [];

  constructor(private readonly pick: Pick) {}

  /** Who waits, in the order of arrival. */
  get held(): readonly HeldActor[] {
    return this.waiting;
  }

  point(actor: string, step: string): Promise<void> {
    return new Promise((go) => this.waiting.push({ actor, step, go }));
  }

  /**
   * Let one actor go.
   * @returns who; nothing when nobody waits.
   * @throws RangeError when the pick is none of them.
   */
  release(): HeldActor | undefined {
    if (this.waiting.length === 0) return undefined;
    const index = this.pick(this.waiting);
    const [chosen] = this.waiting.splice(index, 1);
    if (chosen === undefined) throw new RangeError(`pick ${index} of ${this.waiting.length} held actors`);
    chosen.go();
    return chosen;
  }
}
