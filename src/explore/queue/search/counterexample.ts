import { CallQueueAssertion } from '../../../optee/call-queue/assertion.js';
import type { StorableCallQueue } from '../../../optee/call-queue/storable.js';
import type { Caller } from '../model/caller.js';
import { type ModelConfig, QueueModel } from '../model/queue-model.js';
import { type TraceStep, takeTraceStep, traceState } from '../model/trace-step.js';
import { deadlocks, Judge } from '../properties/judge.js';
import { PROPERTY_BIT, PROPERTY_NAMES, type PropertyName } from '../properties/properties.js';
import { StateCodec, type StateForm } from '../states/state-codec.js';
import { NO_STATE } from '../states/state-store.js';
import { type Breach, brokenByError } from './expander.js';

/** One step of a schedule: the caller, the step, the result, and the state after it. */
export interface ScheduledStep extends TraceStep {
  readonly n: number;
  readonly actor: number;
}

/** States, each with the state from which it was first reached. */
export interface StoredStates {
  readonly records: Uint32Array;
  /** Offset of a state in `records`. */
  offset(state: number): number;
  /** `NO_STATE` for the first state. */
  parent(state: number): number;
}

/** The numbers of the states from the first to this one. */
export function pathTo(store: StoredStates, state: number): number[] {
  const path: number[] = [];
  for (let at = state; at !== NO_STATE; at = store.parent(at)) path.push(at);
  return path.reverse();
}

/**
 * Finds the callers that step along a path of stored states, and for a violation by a step, in that last step. Stored
 * states do not identify interchangeable callers; the result names a concrete caller for each step.
 */
export class Retracing {
  private readonly model: QueueModel;
  private readonly judge: Judge;
  private readonly canonical: StateCodec;
  private readonly exact: StateCodec;
  private readonly before: Uint32Array;
  private readonly after: Uint32Array;

  constructor(config: ModelConfig, form: StateForm, queue?: StorableCallQueue) {
    this.model = new QueueModel(config, queue);
    this.judge = new Judge(this.model);
    this.canonical = new StateCodec(this.model, form);
    this.exact = new StateCodec(this.model, { ...form, symmetric: false });
    this.before = new Uint32Array(this.exact.words);
    this.after = new Uint32Array(this.canonical.words);
  }

  /** @returns the callers of the schedule, in order. */
  schedule(store: StoredStates, name: PropertyName, { state, by }: Breach): number[] {
    const callers = this.along(store, pathTo(store, state).slice(1));
    if (by === 'step') callers.push(this.find((caller) => this.breaks(caller, name)));
    return callers;
  }

  /** Take the steps that lead through these states in order, starting from the model's present state. */
  along(store: StoredStates, states: readonly number[]): number[] {
    return states.map((state) =>
      this.find((caller) => {
        try {
          this.model.step(caller);
          this.canonical.save(this.after, 0);
        } catch (error) {
          brokenByError(error);
          return false;
        }
        const at = store.offset(state);
        return this.after.every((word, i) => word === store.records[at + i]);
      }),
    );
  }

  /** The first caller whose step matches. The model has then taken the step. */
  private find(isIt: (caller: Caller) => boolean): number {
    this.exact.save(this.before, 0);
    for (const caller of this.model.callers) {
      if (this.model.next(caller) === undefined) continue;
      if (isIt(caller)) return caller.label;
      this.exact.load(this.before, 0);
    }
    throw new Error('the path of a counterexample cannot be retraced');
  }

  private breaks(caller: Caller, name: PropertyName): boolean {
    return (brokenBySteppingOf(this.model, this.judge, caller, this.canonical, this.after) & PROPERTY_BIT[name]) !== 0;
  }
}

/** Take a caller's step. Returns the properties that it broke, as bits. */
function brokenBySteppingOf(model: QueueModel, judge: Judge, caller: Caller, codec: StateCodec, into: Uint32Array) {
  judge.inState();
  try {
    const step = model.step(caller);
    codec.save(into, 0);
    return judge.ofStep(step, caller);
  } catch (error) {
    return brokenByError(error);
  }
}

/** Run a schedule from the start and describe every step. */
export function runSchedule(config: ModelConfig, schedule: readonly number[], queue?: StorableCallQueue) {
  const model = new QueueModel(config, queue);
  const judge = new Judge(model);
  const initial = traceState(model);
  let broken = judge.atStart();
  const steps: ScheduledStep[] = schedule.map((actor, n) => {
    const caller = model.callers[actor];
    if (caller === undefined) throw new RangeError(`step ${n}: there is no caller ${actor}`);
    judge.inState();
    try {
      const step = takeTraceStep(model, caller);
      broken = judge.ofStep(step.op, caller) | judge.inState();
      return { n, actor, ...step };
    } catch (error) {
      // A failed assertion of the discipline is the result; the schedule ends there.
      if (!(error instanceof CallQueueAssertion)) throw error;
      broken = PROPERTY_BIT.conservation;
      const op = model.next(caller) ?? 'wait_final';
      return { n, actor, op, args: {}, result: { assertion: error.message }, state: traceState(model) };
    }
  });
  if (model.callers.every((caller) => model.next(caller) === undefined)) broken |= deadlocks(model);
  /** The properties that the last step, or the state after it, breaks. */
  const brokenAtEnd = PROPERTY_NAMES.filter((name) => (broken & PROPERTY_BIT[name]) !== 0);
  return { model, initial, steps, brokenAtEnd };
}
