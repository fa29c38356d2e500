import type { Random } from './random.js';
import type { Schedule } from './schedule.js';

/** An actor that waits at a point until the schedule releases it. */
export interface HeldActor {
  readonly actor: string;
  readonly step: string;
}

/** Chooses the actor to release. `held` has at least one entry, in order of arrival; the result is an index into it. */
export type Pick = (held: readonly HeldActor[]) => number;

/** Chooses what happens to an actor. The result is an index into `options`; 0 is the normal course. */
export type Choose = (actor: string, options: readonly string[]) => number;

/** A pick from a seeded generator: the same seed gives the same order. */
export function randomPick(random: Random): Pick {
  return (held) => Math.floor(random() * held.length);
}

/**
 * A schedule that holds every actor at its points and releases one at a time. `VirtualClock.run` drives it. The
 * sequence of releases is the schedule of the run.
 */
export class ControlledSchedule implements Schedule {
  readonly decides = true;
  fine = false;
  /** Called when an actor arrives at a point. */
  onArrival: ((held: HeldActor) => void) | undefined;
  private readonly waiting: (HeldActor & { readonly go: () => void })[] = [];

  /** @param chooseOption answers `choose`; by default it returns 0, the normal course. */
  constructor(
    private readonly pick: Pick,
    private readonly chooseOption: Choose = () => 0,
  ) {}

  /** The actors that wait, in order of arrival. */
  get held(): readonly HeldActor[] {
    return this.waiting;
  }

  point(actor: string, step: string): Promise<void> {
    return new Promise((go) => {
      const held = { actor, step, go };
      this.waiting.push(held);
      this.onArrival?.(held);
    });
  }

  /** @throws RangeError when the chosen index is not one of the options. */
  choose(actor: string, options: readonly string[]): number {
    const index = this.chooseOption(actor, options);
    if (options[index] === undefined) throw new RangeError(`option ${index} of ${options.length}`);
    return index;
  }

  /**
   * Release one actor.
   * @returns the released actor; undefined when none waits.
   * @throws RangeError when the pick is not the index of a held actor.
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
