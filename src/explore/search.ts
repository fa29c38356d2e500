import { CallQueueAssertion } from '../optee/call-queue/assertion.js';
import type { Step } from './caller.js';
import {
  brokenByStep,
  brokenInState,
  deadlocks,
  PROPERTY_BIT,
  PROPERTY_NAMES,
  type PropertyName,
} from './properties.js';
import type { QueueModel } from './queue-model.js';
import type { StateCodec } from './state-codec.js';
import { NO_STATE, type StateStore } from './state-store.js';

/** Where a property was first seen broken. */
export interface Breach {
  readonly state: number;
  /** The state itself breaks it, or a step that a caller takes from it. */
  readonly by: 'state' | 'step';
  /** Steps from the start. */
  readonly steps: number;
}

/**
 * Breadth-first search from the states that the store has: every state is expanded once, in the order in which it was
 * found, so that the first breach of a property is one with the fewest steps.
 */
export class Search {
  /** The next state to expand. */
  next = 0;
  transitions = 0;
  /** Steps from the start to the state that is next. */
  depth = 0;
  readonly breaches = new Map<PropertyName, Breach>();
  private endOfLevel = 1;
  /** Properties not yet seen broken, as bits. */
  private unbroken = (1 << PROPERTY_NAMES.length) - 1;
  /** The successors of the state being expanded, their hashes, and the properties that each breaks. */
  private readonly successors: Uint32Array;
  private readonly hashes: Uint32Array;
  private readonly breaks: Int32Array;

  constructor(
    private readonly model: QueueModel,
    private readonly codec: StateCodec,
    private readonly store: StateStore,
  ) {
    const callers = model.callers.length;
    this.successors = new Uint32Array(callers * codec.words);
    this.hashes = new Uint32Array(callers);
    this.breaks = new Int32Array(callers);
    codec.save(this.successors, 0);
    store.add(this.successors, 0, store.hash(this.successors, 0), NO_STATE);
    this.note(brokenInState(model), 0, 'state', 0);
  }

  /** Every state found has been expanded. */
  get complete(): boolean {
    return this.next === this.store.count;
  }

  /** States found but not yet expanded. */
  get frontier(): number {
    return this.store.count - this.next;
  }

  /** Expands so many states, or all there are. */
  run(states: number): void {
    for (let left = states; left > 0 && !this.complete; left--) {
      if (this.next === this.endOfLevel) {
        this.depth++;
        this.endOfLevel = this.store.count;
      }
      this.expand(this.next++);
    }
  }

  private expand(state: number): void {
    const { store, successors, hashes, breaks } = this;
    const count = this.step(state);
    if (count === 0) return;
    const { words } = this.codec;
    for (let i = 0; i < count; i++) hashes[i] = store.hash(successors, i * words);
    store.touch(hashes, count);
    for (let i = 0; i < count; i++) {
      if (store.add(successors, i * words, hashes[i] ?? 0, state)) {
        const broken = breaks[i] ?? 0;
        if (broken !== 0) this.note(broken, store.count - 1, 'state', this.depth + 1);
      }
    }
  }

  /** Takes every step that can be taken from a state; gives the number of successors. */
  private step(state: number): number {
    const { model, codec, store } = this;
    const { callers } = model;
    const { codes, twinBefore } = codec;
    codec.load(store.records, store.offset(state));
    let loaded = true;
    let stuck = true;
    let count = 0;
    for (let i = 0; i < callers.length; i++) {
      if (!loaded) codec.load(store.records, store.offset(state));
      loaded = true;
      // A caller in the very same place as the interchangeable one before it only repeats what that one did.
      const twin = twinBefore[i] ?? -1;
      if (twin >= 0 && codes[twin] === codes[i]) continue;
      const caller = callers[i];
      if (caller === undefined || model.next(caller) === undefined) continue;
      stuck = false;
      loaded = false;
      this.transitions++;
      let step: Step;
      try {
        step = model.step(caller);
      } catch (error) {
        // The discipline lost count of its own callers; there is no state to go on from.
        if (!(error instanceof CallQueueAssertion)) throw error;
        this.note(PROPERTY_BIT.conservation, state, 'step', this.depth + 1);
        continue;
      }
      const broken = brokenByStep(model, step);
      if (broken !== 0) this.note(broken, state, 'step', this.depth + 1);
      codec.save(this.successors, count * codec.words);
      this.breaks[count] = brokenInState(model);
      count++;
    }
    if (stuck) {
      if (!loaded) codec.load(store.records, store.offset(state));
      this.note(deadlocks(model), state, 'state', this.depth);
    }
    return count;
  }

  private note(broken: number, state: number, by: Breach['by'], steps: number): void {
    const seen = broken & this.unbroken;
    if (seen === 0) return;
    this.unbroken &= ~seen;
    for (const name of PROPERTY_NAMES) {
      if ((seen & PROPERTY_BIT[name]) !== 0) this.breaches.set(name, { state, by, steps });
    }
  }
}
