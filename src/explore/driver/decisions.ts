import type { Choose, HeldActor, Pick } from '../../clock/controlled-schedule.js';
import { seededRandom } from '../../clock/random.js';

/** One decision of a run: which of several actors continued, or which of several events happened to an actor. */
export interface Decision extends HeldActor {
  /**
   * The index of the choice. For actors: in order of arrival at their points, 0 is the first. For events: 0 is the
   * normal course.
   */
  readonly index: number;
  readonly of: number;
  /** The kind of decision: the order of actors, or an event such as a fault, which `step` describes. */
  readonly kind: 'order' | 'event';
  /** The step is independent of everything other actors do, so another order would not be another run. */
  readonly settled?: true;
}

/** Makes the decisions of a run. Both methods return an index; an index out of range is taken as the last one. */
export interface Decider {
  order(held: readonly HeldActor[], decision: number): number;
  event(options: readonly string[], decision: number): number;
}

/**
 * A run as the list of its decisions. A point is a decision only if several actors could continue, or an event could
 * happen. After the end of the list, the first actor to arrive continues, and no event happens.
 */
export class DecisionRecorder {
  readonly made: Decision[] = [];
  /** The first decision whose requested index was out of range; the last option was taken instead. */
  outOfRange: { readonly at: number; readonly asked: number; readonly of: number } | undefined;

  constructor(private readonly decider: Decider) {}

  readonly pick: Pick = (held) => {
    if (held.length === 1) return 0;
    const index = this.within(this.decider.order(held, this.made.length), held.length);
    const { actor, step } = held[index] ?? { actor: '', step: '' };
    this.made.push({ actor, step, index, of: held.length, kind: 'order' });
    return index;
  };

  /** Let this actor continue. The choice is not a decision, because it does not matter. */
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

/** A recorder that follows a list of decisions. */
export function followed(decisions: readonly number[]): DecisionRecorder {
  const listed = (_: unknown, decision: number) => decisions[decision] ?? 0;
  return new DecisionRecorder({ order: listed, event: listed });
}

/**
 * Why a list of decisions does not belong to the run that was made with it: the list is of another scenario, queue or
 * seed, or the driver has changed since. Undefined if it belongs to the run.
 */
export function staleness({ made, outOfRange }: DecisionRecorder, decisions: readonly number[]): string | undefined {
  if (outOfRange !== undefined) {
    const { at, asked, of } = outOfRange;
    return `decision ${at} is ${asked}, but there are ${of} choices, 0 to ${of - 1}`;
  }
  // A run without a deviation is written as a single zero, even if it has no decision.
  if (decisions.length <= made.length || (decisions.length === 1 && decisions[0] === 0)) return undefined;
  return `it has ${decisions.length} decisions, but the run has ${made.length}`;
}

/** What random runs need to know of earlier runs. */
export interface RunLengths {
  /** The maximum number of decisions in a run. */
  readonly decisions: number;
  /** The maximum number of possible events in a run. */
  readonly events: number;
}

/**
 * Random events: about `faults` of the possible events of a run happen, anywhere in the run.
 * @param faults the maximum number in one run.
 */
function randomEvents(random: () => number, faults: number, { events }: RunLengths): Decider['event'] {
  return (options) => (random() * events < faults ? 1 + Math.floor(random() * (options.length - 1)) : 0);
}

/** All decisions are random. */
export function randomWalk(seed: number, lengths: RunLengths, faults = 1): DecisionRecorder {
  const random = seededRandom(seed);
  return new DecisionRecorder({
    order: (held) => Math.floor(random() * held.length),
    event: randomEvents(random, faults, lengths),
  });
}

/**
 * Random priorities: the actor with the highest priority continues. At a few decisions, drawn in advance, the actor
 * that would continue gets the lowest priority. A defect that needs d orderings of n steps of k actors is hit with a
 * probability of at least 1 / (k * n^(d-1)) per run (Burckhardt et al., "A randomized scheduler with probabilistic
 * guarantees of finding bugs").
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
    event: randomEvents(random, faults, lengths),
  });
}
