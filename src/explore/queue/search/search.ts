import type { QueueModel } from '../model/queue-model.js';
import type { StateCodec } from '../states/state-codec.js';
import type { StateStore } from '../states/state-store.js';
import { Expander } from './expander.js';
import { KnownSteps } from './known-steps.js';

/**
 * Breadth-first search on one processor. Every state is expanded once, in the order in which states were found, so the
 * first violation of a property has the fewest steps.
 */
export class Search {
  readonly expander: Expander;
  /** The next state to expand. */
  next = 0;
  /** The number of steps from the start to the next state. */
  depth = 0;
  private endOfLevel = 1;
  private readonly known: KnownSteps;

  constructor(
    model: QueueModel,
    codec: StateCodec,
    private readonly store: StateStore,
  ) {
    this.known = new KnownSteps(codec);
    this.expander = new Expander(model, codec, store, this.known);
    this.expander.begin();
  }

  /** Whether every found state has been expanded. */
  get complete(): boolean {
    return this.next === this.store.count;
  }

  /** Memory for the states and the known steps, in bytes. */
  get bytes(): number {
    return this.store.bytes + this.known.bytes;
  }

  /** The number of found states that are not expanded yet. */
  get frontier(): number {
    return this.store.count - this.next;
  }

  /** Whether all states of a distance from the start have been expanded, and none of a greater distance. */
  get atEndOfLevel(): boolean {
    return this.next === this.endOfLevel;
  }

  /** Expand `states` states, or all remaining ones; fewer at the end of a level. */
  run(states: number): void {
    if (this.atEndOfLevel && !this.complete) {
      this.depth++;
      this.endOfLevel = this.store.count;
    }
    const end = Math.min(this.next + states, this.endOfLevel);
    while (this.next < end) this.expander.expand(this.next++, this.depth);
    this.expander.flush();
  }
}
