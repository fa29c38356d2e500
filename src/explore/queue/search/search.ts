import type { QueueModel } from '../model/queue-model.js';
import type { StateCodec } from '../states/state-codec.js';
import type { StateStore } from '../states/state-store.js';
import { Expander } from './expander.js';

/**
 * Breadth-first search on one core: every state is expanded once, in the order in which it was found, so that the first
 * breach of a property is one with the fewest steps.
 */
export class Search {
  readonly expander: Expander;
  /** The next state to expand. */
  next = 0;
  /** Steps from the start to the state that is next. */
  depth = 0;
  private endOfLevel = 1;

  constructor(
    model: QueueModel,
    codec: StateCodec,
    private readonly store: StateStore,
  ) {
    this.expander = new Expander(model, codec, store);
    this.expander.begin();
  }

  /** Every state found has been expanded. */
  get complete(): boolean {
    return this.next === this.store.count;
  }

  /** States found but not yet expanded. */
  get frontier(): number {
    return this.store.count - this.next;
  }

  /** All states that are as far from the start have been expanded, and none that is farther. */
  get atEndOfLevel(): boolean {
    return this.next === this.endOfLevel;
  }

  /** Expands so many states, or all there are; less when it comes to the end of a level. */
  run(states: number): void {
    if (this.atEndOfLevel && !this.complete) {
      this.depth++;
      this.endOfLevel = this.store.count;
    }
    const end = Math.min(this.next + states, this.endOfLevel);
    while (this.next < end) this.expander.expand(this.next++, this.depth);
  }
}
