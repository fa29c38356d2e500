import { type ModelConfig, QueueModel } from './model/queue-model.js';
import { PROPERTY_NAMES, type PropertyName } from './properties/properties.js';
import { vacuousBecause } from './properties/vacuous.js';
import { pathTo, Retracing, runSchedule, type ScheduledStep } from './search/counterexample.js';
import type { Bound, ExploreOptions } from './search/explore-options.js';
import { findOvertaking } from './search/fair-cycle.js';
import { searchAll } from './search/search-all.js';
import { BEHIND_AT_ALL, StateCodec, type StateForm } from './states/state-codec.js';
import { StateStore } from './states/state-store.js';

/** The result for one property. */
export interface PropertyResult {
  /** `bounded`: not broken within the bounds of the search. */
  readonly verdict: 'holds' | 'broken' | 'bounded';
  /** The number of steps of the schedule; null unless broken. */
  readonly steps: number | null;
  /** A shortest schedule that breaks the property; empty unless broken. */
  readonly schedule: readonly ScheduledStep[];
  /** For `unboundedOvertaking`: the step from which the rest of the schedule can be repeated forever. */
  readonly repeatsFrom?: number;
  /** Why the property could not be broken in this configuration; undefined if it could. */
  readonly vacuous?: string;
}

/** The result of an exploration of the queue. */
export interface Exploration {
  readonly config: ModelConfig;
  readonly symmetric: boolean;
  readonly states: number;
  readonly transitions: number;
  /** The maximum distance of a state from the start, in steps. */
  readonly depth: number;
  readonly seconds: number;
  /** Memory for the states in bytes. */
  readonly bytes: number;
  /** The limit that ended the search before every state was expanded; null if none did. */
  readonly bound: Bound | null;
  readonly properties: Readonly<Record<PropertyName, PropertyResult>>;
}

/**
 * Explore every interleaving of the callers around the discipline, up to the bounds, and return a verdict on each
 * property.
 * @throws RangeError if the configuration is too large to be explored.
 */
export async function explore(config: ModelConfig, options: ExploreOptions = {}): Promise<Exploration> {
  const repeating = (config.repeating ?? []).length > 0;
  // Symmetry reduction would lose which caller overtakes which.
  const symmetric = (options.symmetric ?? true) && !repeating;
  const start = performance.now();
  let form: StateForm = { symmetric, behindKept: BEHIND_AT_ALL };
  let searched = await search(config, form, options);
  if (searched.looksFurther) {
    // Now keep the exact number: while one call is refused, at most all others can return.
    form = { symmetric, behindKept: { most: repeating ? MOST_BEHIND : callCount(config), everywhere: true } };
    searched = await search(config, form, options);
  }
  const { model, codec, store, bound, breaches, occasions, looksFurther, ...counts } = searched;
  if (looksFurther)
    throw new RangeError('the discipline tells returned calls apart that are too far back for a state to keep');

  const properties = Object.fromEntries(
    PROPERTY_NAMES.map((name): [PropertyName, PropertyResult] => {
      const breach = breaches.get(name);
      if (breach === undefined) return [name, unbroken(bound, vacuousBecause(name, config, occasions))];
      const schedule = new Retracing(config, form, options.createQueue?.()).schedule(store, name, breach);
      return [name, broken(runSchedule(config, schedule, options.createQueue?.()).steps)];
    }),
  ) as Record<PropertyName, PropertyResult>;

  if (repeating && bound === null && store instanceof StateStore) {
    const cycle = findOvertaking(model, codec, store);
    if (cycle !== undefined) {
      const lead = pathTo(store, cycle.entry).slice(1);
      const way = [...lead, ...cycle.states];
      const schedule = new Retracing(config, form, options.createQueue?.()).along(store, way);
      const { steps } = runSchedule(config, schedule, options.createQueue?.());
      properties.unboundedOvertaking = { ...broken(steps), repeatsFrom: lead.length };
    }
  }

  return {
    config,
    symmetric,
    ...counts,
    seconds: (performance.now() - start) / 1000,
    bound,
    properties,
  };
}

/** The maximum number of returned calls that a state stores for callers that repeat forever. */
const MOST_BEHIND = 15;

function callCount({ callers }: ModelConfig): number {
  return callers.flat().filter(({ op }) => op !== 'system_session').length;
}

async function search(config: ModelConfig, form: StateForm, options: ExploreOptions) {
  const model = new QueueModel(config, options.createQueue?.());
  const codec = new StateCodec(model, form);
  return { model, codec, ...(await searchAll({ model, codec, form }, options)) };
}

function unbroken(bound: Bound | null, vacuous: string | undefined): PropertyResult {
  if (bound !== null) return { verdict: 'bounded', steps: null, schedule: [] };
  return { verdict: 'holds', steps: null, schedule: [], ...(vacuous === undefined ? {} : { vacuous }) };
}

function broken(schedule: readonly ScheduledStep[]): PropertyResult {
  return { verdict: 'broken', steps: schedule.length, schedule };
}
