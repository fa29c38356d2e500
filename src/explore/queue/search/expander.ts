import { CallQueueAssertion } from '../../../optee/call-queue/assertion.js';
import type { Caller, Step } from '../model/caller.js';
import type { QueueModel } from '../model/queue-model.js';
import { deadlocks, Judge } from '../properties/judge.js';
import { PROPERTY_BIT, PROPERTY_NAMES, type PropertyName } from '../properties/properties.js';
import { CounterOverflow, type Probe, type StateCodec } from '../states/state-codec.js';
import { NO_STATE, type StateSet } from '../states/state-store.js';
import {
  BROKEN,
  BROKEN_SHIFT,
  CALLER_MASK,
  COMPARED,
  COUNT,
  FAILS,
  IF_LAST,
  type KnownSteps,
  REFUSED,
  UNLESS_LAST,
} from './known-steps.js';

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
/** All of the first few states are compared with every step, and then one in `STATES_A_PROBE` if the discipline counts exits. */
const STATES_A_PROBE = 16;
/** Likewise for disciplines that do not count exits. */
const STATES_A_COMPARISON = 256;
const STATES_PROBED_FIRST = 64;
/** The maximum number of successors that are looked up together. */
const SUCCESSORS_AT_ONCE = 128;

/**
 * Expands states: takes every step from a state, adds new states to the set, and records violations. Successors are added in
 * batches, in the order in which they were found; `flush` adds the rest.
 */
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
  /** Successors that are not added yet: state, hash, predecessor, and the first word of the step. */
  private readonly successors: Uint32Array;
  private readonly hashes = new Uint32Array(SUCCESSORS_AT_ONCE);
  private readonly parents = new Uint32Array(SUCCESSORS_AT_ONCE);
  private readonly steps = new Uint32Array(SUCCESSORS_AT_ONCE);
  private pending = 0;
  /** For each caller, the index of its last operation. */
  private readonly last: readonly number[];
  private readonly after: Uint32Array;
  private readonly other: Uint32Array;
  private readonly probed: Uint32Array;
  private readonly symmetric: boolean;
  private readonly countsExits: boolean;
  private readonly statesCompared: number;

  constructor(
    private readonly model: QueueModel,
    private readonly codec: StateCodec,
    private readonly store: StateSet,
    private readonly known: KnownSteps,
  ) {
    this.successors = new Uint32Array(SUCCESSORS_AT_ONCE * codec.words);
    this.last = model.callers.map(({ operations }) => operations.length - 1);
    this.judge = new Judge(model);
    this.after = new Uint32Array(codec.words);
    this.other = new Uint32Array(codec.words);
    this.probed = new Uint32Array(codec.words);
    this.countsExits = model.queue.countsExits;
    this.statesCompared = this.countsExits ? STATES_A_PROBE : STATES_A_COMPARISON;
    this.symmetric = codec.twinBefore.some((twin) => twin >= 0);
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
    const { store, known, codec, symmetric, successors, last } = this;
    const { words, twinBefore, codes } = codec;
    const { callers } = this.model;
    const wholly = known.ofOneState;
    if (this.pending + callers.length > SUCCESSORS_AT_ONCE) this.flush();
    const { records } = store;
    const from = store.offset(state);
    let entry = known.find(records, from);
    const isNew = entry < 0;
    if (isNew) entry = this.explore(records, from);
    const { cells } = known;
    const broken = cells[entry + BROKEN] ?? 0;
    // Recorded here, because each state is expanded once but is a successor several times.
    if (broken !== 0) this.note(broken, state, 'state', depth);
    if (symmetric && !isNew) codec.readCodes(records, from);
    const begin = this.pending;
    let pending = begin;
    let step = known.stepsOf(entry);
    for (let count = cells[entry + COUNT] ?? 0; count > 0; count--, step += 1 + words) {
      const first = cells[step] ?? 0;
      const caller = first & CALLER_MASK;
      if ((first & (IF_LAST | UNLESS_LAST)) !== 0) {
        const atLast = codec.operationOf(records, from, caller) === last[caller];
        if (atLast !== ((first & IF_LAST) !== 0)) continue;
      }
      if (symmetric) {
        // A caller with the same code as the interchangeable one before it would only repeat that one's steps.
        const twin = twinBefore[caller] ?? -1;
        if (twin >= 0 && codes[twin] === codes[caller]) continue;
      }
      this.transitions++;
      if (first >>> BROKEN_SHIFT !== 0) this.note(first >>> BROKEN_SHIFT, state, 'step', depth + 1);
      if ((first & FAILS) !== 0) continue;
      const to = pending * words;
      let carry = 0;
      for (let i = 0; i < words; i++) {
        const one = wholly ? 0 : (records[from + i] ?? 0);
        const two = cells[step + 1 + i] ?? 0;
        const sum = (one + two + carry) | 0;
        carry = ((one & two) | ((one | two) & ~sum)) >>> 31;
        successors[to + i] = sum;
      }
      if (symmetric && !wholly) codec.sort(successors, to);
      this.hashes[pending] = store.hash(successors, to);
      this.parents[pending] = state;
      this.steps[pending] = first;
      pending++;
    }
    this.pending = pending;
    const everyStep = state < STATES_PROBED_FIRST || state % this.statesCompared === 0;
    if (everyStep ? cells[entry + COMPARED] === 0 : isNew && this.countsExits) {
      for (let i = begin; i < pending; i++)
        if (everyStep || ((this.steps[i] ?? 0) & REFUSED) !== 0) this.compare(from, i, isNew);
    }
    if (everyStep) cells[entry + COMPARED] = 1;
  }

  /** Add the successors that are not added yet. */
  flush(): void {
    const { store, successors, hashes, parents, pending } = this;
    const { words } = this.codec;
    store.touch(hashes, pending);
    for (let i = 0; i < pending; i++) store.add(successors, i * words, hashes[i] ?? 0, parents[i] ?? 0);
    this.pending = 0;
  }

  /** Check a state, and take every possible step from it. Returns the new entry of known steps. */
  private explore(states: Uint32Array, at: number): number {
    const { model, codec, judge, known } = this;
    const { callers } = model;
    const { codes, twinBefore } = codec;
    const entry = known.begin();
    codec.load(states, at);
    let broken = judge.inState();
    let stuck = true;
    for (let i = 0; i < callers.length; i++) {
      if (known.ofOneState) {
        const twin = twinBefore[i] ?? -1;
        if (twin >= 0 && codes[twin] === codes[i]) continue;
      }
      const caller = callers[i];
      if (caller === undefined) break;
      const step = model.next(caller);
      if (step === undefined) continue;
      stuck = false;
      if (!this.take(entry, states, at, caller, step)) continue;
      // The step ended the operation. After the last of several operations the result differs, so take the other step too.
      const last = this.last[i] ?? 0;
      codec.writeAtOperation(this.other, 0, i, codec.operationOf(states, at, i) === last ? 0 : last);
      codec.load(this.other, 0);
      judge.inState();
      this.take(entry, this.other, 0, caller, step);
      codec.load(states, at);
      judge.inState();
    }
    if (stuck) broken |= deadlocks(model);
    known.cells[entry + BROKEN] = broken;
    known.end(entry);
    return entry;
  }

  /**
   * Take a caller's step from the state at `states[at]`, which the model is in, add it to the entry, and undo it. Returns
   * whether the step ended one of several equal operations.
   */
  private take(entry: number, states: Uint32Array, at: number, caller: Caller, step: Step): boolean {
    const { model, codec, judge, known, after } = this;
    const { label } = caller;
    try {
      model.take(caller, step);
      codec.saveStep(after, 0, label, known.ofOneState);
    } catch (error) {
      known.addFailing(entry, label | FAILS | (brokenByError(error) << BROKEN_SHIFT));
      codec.load(states, at);
      return false;
    }
    const broken = judge.ofStep(step, caller);
    const ended = codec.repetitive[label] === true && (caller.stage === 'idle' || caller.stage === 'done');
    let when = 0;
    if (ended) when = codec.operationOf(states, at, label) === this.last[label] ? IF_LAST : UNLESS_LAST;
    if (step === 'thread_limit') when |= REFUSED;
    known.add(entry, label | when | (broken << BROKEN_SHIFT), states, at, after);
    codec.undo(label);
    return ended;
  }

  /**
   * Repeat the step that led to a successor; the result must be equal. A step known from another state is repeated as it is,
   * and any step with other numbers of returned calls, which the codec does not store.
   */
  private compare(from: number, successor: number, isNew: boolean): void {
    const { store, countsExits } = this;
    const caller = this.model.callers[(this.steps[successor] ?? 0) & CALLER_MASK];
    if (caller === undefined) return;
    if (!isNew || !countsExits) {
      this.codec.load(store.records, from);
      if (!this.leadsTo(successor, caller))
        throw new Error(
          `caller ${caller.label}: the same step gave two results, so the queue keeps what is not stored`,
        );
    }
    if (!countsExits) return;
    for (const probe of PROBES) {
      this.codec.load(store.records, from, probe);
      if (!this.leadsTo(successor, caller)) this.looksFurther = true;
    }
  }

  /** Whether a step of this caller leads from the present state of the model to this successor. */
  private leadsTo(successor: number, caller: Caller): boolean {
    const { probed, successors } = this;
    try {
      this.model.step(caller);
      this.codec.save(probed, 0);
    } catch (error) {
      brokenByError(error);
      return false;
    }
    for (let i = 0; i < probed.length; i++) if (probed[i] !== successors[successor * probed.length + i]) return false;
    return true;
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
