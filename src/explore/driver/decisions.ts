import type { Choose, HeldActor, Pick } from '../../clock/controlled-schedule.js';
import { seededRandom } from '../../clock/random.js';

/** One decision of a run: who went, of how many; or what happened to whom, of how many things that could. */
export interface Decision extends HeldActor {
  /**
   * Which of them: of actors in the order in which they came to their points, 0 being whoever came first; of things that
   * could happen, 0 being the usual course.
   */
  readonly index: number;
  readonly of: number;
  /** What was decided: the order, or an event such as a fault, whose words are in `step`. */
  readonly kind: 'order' | 'event';
  /** Nothing that others do meets this step: that they go first is no other run. */
  readonly settled?: true;
}

/** Who makes the decisions of a run. Both answers are indices; what is out of range is the last. */
export interface Decider {
  order(held: readonly HeldActor[], decision: number): number;
  event(options: readonly string[], decision: number): number;
}

/**
 * A run as the list of its decisions. Only points at which more than one could go, and events that could happen, are
 * decisions; after the end of the list whoever came first goes, and nothing unusual happens.
 */
export class DecisionRecorder {
  readonly made: Decision[] = [];
  /** The first decision of which there were fewer than what was asked for; the last was taken for it. */
  outOfRange: { readonly at: number; readonly asked: number; readonly of: number } | undefined;

  constructor(private readonly decider: Decider) {}

  readonly pick: Pick = (held) => {
    if (held.length === 1) return 0;
    const index = this.within(this.decider.order(held, this.made.length), held.length);
    const { actor, step } = held[index] ?? { actor: '', step: '' };
    this.made.push({ actor, step, index, of: held.length, kind: 'order' });
    return index;
  };

  /** This one goes, and it makes no difference that others could. */
  settle(held: readonly HeldActor[], index: number): void {
    const { actor, step } = held[index] ?? { actor: '', step: '' };
    this.made.push({ actor, step, index, of: held.length, kind: 'order', settled: true });
  }

  readonly choose: Choose = (actor, options) => {
    if (options.length === 1) return 0;
    const index = this.within(this.decider.event(options, this.made.length), options.length);
    this.made.push({ actor, step: options[index] ?? '', index, of: options.length, kind: 'event' });
    return index;
  };

  private within(asked: number, of: number): number {
    if (asked < of) return asked;
    this.outOfRange ??= { at: this.made.length, asked, of };
    return of - 1;
  }
}

/** Follows a list. */
export function followed(decisions: readonly number[]): DecisionRecorder {
  const listed = (_: unknown, decision: number) => decisions[decision] ?? 0;
  return new DecisionRecorder({ order: listed, event: listed });
}

/**
 * Why a list of decisions is not one of the run that was made by it, in words: it is of another scenario, queue or seed, or
 * the driver has changed since. Undefined when it is.
 */
export function staleness({ made, outOfRange }: DecisionRecorder, decisions: readonly number[]): string | undefined {
  if (outOfRange !== undefined) {
    const { at, asked, of } = outOfRange;
    return `decision ${at} is ${asked}, but there are ${of} choices, 0 to ${of - 1}`;
  }
  // A run without a deviation is written as a single zero, whether it has a decision or not.
  if (decisions.length <= made.length || (decisions.length === 1 && decisions[0] === 0)) return undefined;
  return `it has ${decisions.length} decisions, but the run has ${made.length}`;
}

/** What runs by lot need to know of the runs before them. */
export interface RunLengths {
  /** The most decisions that a run had. */
  readonly decisions: number;
  /** Of those, events that could have happened. */
  readonly events: number;
}

/**
 * Events by lot: about `faults` of those that could happen in a run do, so that they strike anywhere in it.
 * @param faults the most that happen in one run.
 */
function eventsByLot(random: () => number, faults: number, { events }: RunLengths): Decider['event'] {
  return (options) => (random() * events < faults ? 1 + Math.floor(random() * (options.length - 1)) : 0);
}

/** Every decision by lot. */
export function randomWalk(seed: number, lengths: RunLengths, faults = 1): DecisionRecorder {
  const random = seededRandom(seed);
  return new DecisionRecorder({
    order: (held) => Math.floor(random() * held.length),
    event: eventsByLot(random, faults, lengths),
  });
}

/**
 * Priorities by lot: the actor with the highest goes, and at a few decisions, drawn beforehand, the one that would go
 * falls behind all others. A defect that needs d orderings of n steps of k actors is hit with a probability of at least
 * 1 / (k * n^(d-1)) a run (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs").
 * @param orderings d.
 */
export function priorityWalk(seed: number, orderings: number, lengths: RunLengths, faults = 1): DecisionRecorder {
  const random = seededRandom(seed);
  const changes = new Set(Array.from({ length: orderings - 1 }, () => Math.floor(random() * lengths.decisions)));
  const priorities = new Map<string, number>();
  let lowest = 0;
  const priority = (actor: string) => {
    const known = priorities.get(actor);
    if (known !== undefined) return known;
    const drawn = 1 + random();
    priorities.set(actor, drawn);
    return drawn;
  };
  const highest = (held: readonly HeldActor[]) => {
    const ranks = held.map(({ actor }) => priority(actor));
    return ranks.indexOf(Math.max(...ranks));
  };
  return new DecisionRecorder({
    order: (held, decision) => {
      const first = highest(held);
      if (!changes.has(decision)) return first;
      priorities.set(held[first]?.actor ?? '', --lowest);
      return highest(held);
    },
    event: eventsByLot(random, faults, lengths),
  });
}
