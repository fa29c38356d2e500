import type { HeldActor, Pick } from '../../clock/controlled-schedule.js';
import { seededRandom } from '../../clock/random.js';

/** One decision of a run: who went, of how many. */
export interface Decision extends HeldActor {
  /** Which of them, in the order in which they came to their points; 0: whoever came first. */
  readonly index: number;
  readonly of: number;
}

/**
 * A run as the list of its decisions. Only points at which more than one could go are decisions; after the end of the
 * list whoever came first goes.
 */
export class DecisionRecorder {
  readonly made: Decision[] = [];

  /** @param choose which of them goes: an index; out of range is the last. */
  constructor(private readonly choose: (held: readonly HeldActor[], decision: number) => number) {}

  readonly pick: Pick = (held) => {
    if (held.length === 1) return 0;
    const index = Math.min(this.choose(held, this.made.length), held.length - 1);
    const { actor, step } = held[index] ?? { actor: '', step: '' };
    this.made.push({ actor, step, index, of: held.length });
    return index;
  };
}

/** Follows a list. */
export function followed(decisions: readonly number[]): DecisionRecorder {
  return new DecisionRecorder((_, decision) => decisions[decision] ?? 0);
}

/** Every decision by lot. */
export function randomWalk(seed: number): DecisionRecorder {
  const random = seededRandom(seed);
  return new DecisionRecorder((held) => Math.floor(random() * held.length));
}

/**
 * Priorities by lot: the actor with the highest goes, and at a few decisions, drawn beforehand, the one that would go
 * falls behind all others. A defect that needs d orderings of n steps of k actors is hit with a probability of at least
 * 1 / (k * n^(d-1)) a run (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs").
 * @param orderings d.
 * @param decisions n, as the runs so far suggest.
 */
export function priorityWalk(seed: number, orderings: number, decisions: number): DecisionRecorder {
  const random = seededRandom(seed);
  const changes = new Set(Array.from({ length: orderings - 1 }, () => Math.floor(random() * decisions)));
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
  return new DecisionRecorder((held, decision) => {
    const first = highest(held);
    if (!changes.has(decision)) return first;
    priorities.set(held[first]?.actor ?? '', --lowest);
    return highest(held);
  });
}
