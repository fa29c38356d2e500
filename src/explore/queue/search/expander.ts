import { CallQueueAssertion } from '../../../optee/call-queue/assertion.js';
import type { Caller } from '../model/caller.js';
import type { QueueModel } from '../model/queue-model.js';
import { deadlocks, Judge } from '../properties/judge.js';
import { PROPERTY_BIT, PROPERTY_NAMES, type PropertyName } from '../properties/properties.js';
import { CounterOverflow, type Probe, type StateCodec } from '../states/state-codec.js';
import { NO_STATE, type StateSet } from '../states/state-store.js';

/** Where a property was first seen broken. */
export interface Breach {
  readonly state: number;
  /** The state itself breaks it, or a step that a caller takes from it. */
  readonly by: 'state' | 'step';
  /** Steps from the start. */
  readonly steps: number;
}

/** Other numbers of returned calls than those that states are loaded with: one more, an odd one, and very many. */
const PROBES: readonly Probe[] = [
  { exits: 7, behind: 2 },
  { exits: 64, behind: 3 },
  { exits: 1001, behind: 1000 },
];
/** Of the states after the first few, one in so many is looked at with every step; the first few are all. */
const STATES_A_PROBE = 16;
const STATES_PROBED_FIRST = 64;

/** Expands states: takes every step from one, adds what is new to the set of states, and notes what breaks. */
export class Expander {
  transitions = 0;
  /** The first breach of each property seen. */
  readonly breaches = new Map<PropertyName, Breach>();
  /** The discipline looks at more of the number of returned calls than the codec keeps: what was found counts for nothing. */
  looksFurther = false;
  private readonly judge: Judge;
  /** Properties not yet seen broken by a step, and by a state, as bits. */
  private readonly unbroken = { step: (1 << PROPERTY_NAMES.length) - 1, state: (1 << PROPERTY_NAMES.length) - 1 };
  /** The successors of the state being expanded, and their hashes. */
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

  /** What happened of `OCCASIONS`, as bits. */
  get occasions(): number {
    return this.judge.occasions;
  }

  /** Adds the state in which the model is as the first. */
  begin(): void {
    const { successors, store } = this;
    this.codec.save(successors, 0);
    store.add(successors, 0, store.hash(successors, 0), NO_STATE);
    this.note(this.judge.atStart(), 0, 'state', 0);
  }

  /** @param depth steps from the start to this state. */
  expand(state: number, depth: number): void {
    const { store, successors, hashes } = this;
    const count = this.step(state, depth);
    if (count === 0) return;
    const { words } = this.codec;
    for (let i = 0; i < count; i++) hashes[i] = store.hash(successors, i * words);
    store.touch(hashes, count);
    for (let i = 0; i < count; i++) store.add(successors, i * words, hashes[i] ?? 0, state);
  }

  /** Judges a state and takes every step that can be taken from it; gives the number of successors. */
  private step(state: number, depth: number): number {
    const { model, codec, store, judge, successors } = this;
    const { callers } = model;
    const { codes, twinBefore, words } = codec;
    codec.load(store.records, store.offset(state));
    // Each state is expanded once, but comes up as a successor several times.
    const brokenByState = judge.inState();
    if (brokenByState !== 0) this.note(brokenByState, state, 'state', depth);
    let stuck = true;
    let count = 0;
    for (let i = 0; i < callers.length; i++) {
      // A caller in the very same place as the interchangeable one before it only repeats what that one did.
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

  /** The same step again, with other numbers of returned calls where the codec does not keep them. */
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
      // A step from one state comes before the judgement of another that is as far from the start.
      const known = this.breaches.get(name);
      if (known === undefined || steps < known.steps) this.breaches.set(name, { state, by, steps });
    }
  }
}

/** What it breaks that a discipline lost count of its own callers: there is no state to go on from. @throws anything else. */
export function brokenByError(error: unknown): number {
  if (error instanceof CallQueueAssertion) return PROPERTY_BIT.conservation;
  if (error instanceof CounterOverflow) return PROPERTY_BIT.counterOutOfRange;
  throw error;
}
