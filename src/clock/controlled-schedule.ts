import type { Random } from './random.js';
import type { Schedule } from './schedule.js';

/** An actor that stands at a point and waits to be let go. */
export interface HeldActor {
  readonly actor: string;
  readonly step: string;
}

/** Which of those who could go (at least one, in the order in which they came) goes: an index. */
export type Pick = (held: readonly HeldActor[]) => number;

/** Which of several things happens to an actor: an index into the options, of which the first is the usual course. */
export type Choose = (actor: string, options: readonly string[]) => number;

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
  fine = false;
  /** Told when an actor comes to a point, by whoever must know what brought it there. */
  onArrival: ((held: HeldActor) => void) | undefined;
  private readonly waiting: (HeldActor & { readonly go: () => void })[] = [];

  /** @param chooseOption what happens where something could; the usual when left out. */
  constructor(
    private readonly pick: Pick,
    private readonly chooseOption: Choose = () => 0,
  ) {}

  /** Who waits, in the order of arrival. */
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

  /** @throws RangeError when what was chosen is none of the options. */
  choose(actor: string, options: readonly string[]): number {
    const index = this.chooseOption(actor, options);
    if (options[index] === undefined) throw new RangeError(`option ${index} of ${options.length}`);
    return index;
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
