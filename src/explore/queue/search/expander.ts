import { CallQueueAssertion } from '../../../optee/call-queue/assertion.js';
import type { Caller } from '../model/caller.js';
import type { QueueModel } from '../model/queue-model.js';
import { deadlocks, Judge } from '../properties/judge.js';
import { PROPERTY_BIT, PROPERTY_NAMES, type PropertyName } from '../properties/properties.js';
import { CounterOverflow, type Probe, type StateCodec } from '../states/state-codec.js';
import { NO_STATE, type StateSet } from '../states/state-store.js';

/** The first violation of a property. */
export interface Breach {
  readonly state: number;
  /** Whether the state itself breaks it, or a step from it. */
  readonly by: 'state' | 'step';
  /** The number of steps from the start. */
  readonly steps: number;
}

/** Other numbers of returned calls than those that states are loaded with: one more, an odd one, and a large one. */
const PROBES: readonly Probe[] = [
  { exits: 7, behind: 2 },
  { exits: 64, behind: 3 },
  { exits: 1001, behind: 1000 },
];
/** All of the first few states are probed with every step, and then one in `STATES_A_PROBE`. */
const STATES_A_PROBE = 16;
const STATES_PROBED_FIRST = 64;

/** Expands states: takes every step from a state, adds new states to the set, and records violations. */
export class Expander {
  transitions = 0;
  /** The first violation of each property. */
  readonly breaches = new Map<PropertyName, Breach>();
  /**
   * The discipline depends on more of the number of returned calls than the codec stores, so the results are invalid.
   */
  looksFurther = false;
  private readonly judge: Judge;
  /** Properties without a violation by a step so far, and by a state, as bits. */
  private readonly unbroken = { step: (1 << PROPERTY_NAMES.length) - 1, state: (1 << PROPERTY_NAMES.length) - 1 };
  /** The successors of the expanded state, and their hashes. */
  private readonly successors: Uint32Array;
  private readonly hashes: Uint32Array;
  private readonly probed: Uint32Array;

  constructor(
    private readonly model: QueueModel,
    private readonly codec: StateCodec,
    private readonly store: StateSet,
  ) {
    const callers = model.callers.length;
    this.successors = new Uint32Array(callers * codec.words);
    this.hashes = new Uint32Array(callers);
    this.judge = new Judge(model);
    this.probed = new Uint32Array(codec.words);
  }

  /** The `OCCASIONS` that have occurred, as bits. */
  get occasions(): number {
    return this.judge.occasions;
  }

  /** Add the model's present state as the first one. */
  begin(): void {
    const { successors, store } = this;
    this.codec.save(successors, 0);
    store.add(successors, 0, store.hash(successors, 0), NO_STATE);
    this.note(this.judge.atStart(), 0, 'state', 0);
  }

  /** @param depth the number of steps from the start to this state. */
  expand(state: number, depth: number): void {
    const { store, successors, hashes } = this;
    const count = this.step(state, depth);
    if (count === 0) return;
    const { words } = this.codec;
    for (let i = 0; i < count; i++) hashes[i] = store.hash(successors, i * words);
    store.touch(hashes, count);
    for (let i = 0; i < count; i++) store.add(successors, i * words, hashes[i] ?? 0, state);
  }

  /** Check a state, and take every possible step from it. Returns the number of successors. */
  private step(state: number, depth: number): number {
    const { model, codec, store, judge, successors } = this;
    const { callers } = model;
    const { codes, twinBefore, words } = codec;
    codec.load(store.records, store.offset(state));
    // Checked here, because each state is expanded once but is a successor several times.
    const brokenByState = judge.inState();
    if (brokenByState !== 0) this.note(brokenByState, state, 'state', depth);
    let stuck = true;
    let count = 0;
    for (let i = 0; i < callers.length; i++) {
      // A caller with the same code as the interchangeable one before it would only repeat that one's steps.
      const twin = twinBefore[i] ?? -1;
      if (twin >= 0 && codes[twin] === codes[i]) continue;
      const caller = callers[i];
      if (caller === undefined) break;
      const step = model.next(caller);
      if (step === undefined) continue;
      stuck = false;
      this.transitions++;
      try {
        model.take(caller, step);
        codec.saveStep(successors, count * words, i);
      } catch (error) {
        this.note(brokenByError(error), state, 'step', depth + 1);
        codec.load(store.records, store.offset(state));
        continue;
      }
      const broken = judge.ofStep(step, caller);
      if (broken !== 0) this.note(broken, state, 'step', depth + 1);
      if (step === 'thread_limit' || state < STATES_PROBED_FIRST || state % STATES_A_PROBE === 0) {
        this.probe(state, caller, count * words);
        codec.load(store.records, store.offset(state));
      } else codec.undo(i);
      count++;
    }
    if (stuck) this.note(deadlocks(model), state, 'state', depth);
    return count;
  }

  /** Repeat the step with other numbers of returned calls, which the codec does not store. The result must be equal. */
  private probe(state: number, caller: Caller, expected: number): void {
    const { model, codec, store, probed, successors } = this;
    if (!model.queue.countsExits) return;
    for (const probe of PROBES) {
      codec.load(store.records, store.offset(state), probe);
      try {
        model.step(caller);
        codec.save(probed, 0);
        for (let i = 0; i < probed.length; i++) if (probed[i] !== successors[expected + i]) this.looksFurther = true;
      } catch (error) {
        brokenByError(error);
        this.looksFurther = true;
      }
    }
  }

  private note(broken: number, state: number, by: Breach['by'], steps: number): void {
    const seen = broken & this.unbroken[by];
    if (seen === 0) return;
    this.unbroken[by] &= ~seen;
    for (const name of PROPERTY_NAMES) {
      if ((seen & PROPERTY_BIT[name]) === 0) continue;
      // A violation by a step has one more step than its state, so a later state may give a shorter schedule.
      const known = this.breaches.get(name);
      if (known === undefined || steps < known.steps) this.breaches.set(name, { state, by, steps });
    }
  }
}

/**
 * The property that a failed assertion of the discipline breaks; there is no state to continue from. @throws any other
 * error.
 */
export function brokenByError(error: unknown): number {
  if (error instanceof CallQueueAssertion) return PROPERTY_BIT.conservation;
  if (error instanceof CounterOverflow) return PROPERTY_BIT.counterOutOfRange;
  throw error;
}
