import { availableParallelism } from 'node:os';
import type { StorableCallQueue } from '../optee/call-queue/storable.js';
import { pathTo, Retracing, runSchedule, type ScheduledStep, type StoredStates } from './counterexample.js';
import type { Breach } from './expander.js';
import { findOvertaking } from './fair-cycle.js';
import { ParallelSearch } from './parallel-search.js';
import { PROPERTY_NAMES, type PropertyName } from './properties.js';
import { type ModelConfig, QueueModel } from './queue-model.js';
import { Search } from './search.js';
import { StateCodec } from './state-codec.js';
import { StateStore } from './state-store.js';

export interface ExploreOptions {
  /** Keep one state of all that differ only in who is who among callers that do the same (default: true). */
  readonly symmetric?: boolean;
  /** Bounds; where one is met, what is not broken by then is `bounded`. */
  readonly maxStates?: number;
  readonly maxMiB?: number;
  readonly maxSeconds?: number;
  /** Ends the search as a bound does. */
  readonly signal?: AbortSignal;
  /** Called a few times a second. */
  readonly progress?: (progress: Progress) => void;
  /** Worker threads for a large search (default: one a core). */
  readonly workers?: number;
  /** Makes the queue to explore, when it is not the discipline's own. */
  readonly createQueue?: () => StorableCallQueue;
}

export interface Progress {
  readonly states: number;
  /** States not yet expanded. */
  readonly frontier: number;
  /** Steps from the start. */
  readonly depth: number;
  readonly transitions: number;
  readonly seconds: number;
  readonly mebibytes: number;
  readonly broken: readonly PropertyName[];
}

export type Bound = 'states' | 'memory' | 'time' | 'interrupted';

export interface PropertyResult {
  /** `bounded`: not broken as far as the search came. */
  readonly verdict: 'holds' | 'broken' | 'bounded';
  /** Steps of the schedule; null unless broken. */
  readonly steps: number | null;
  /** A shortest schedule that breaks the property; empty unless broken. */
  readonly schedule: readonly ScheduledStep[];
  /** For `unboundedOvertaking`: the step from which the rest of the schedule can be repeated for ever. */
  readonly repeatsFrom?: number;
}

export interface Exploration {
  readonly config: ModelConfig;
  readonly symmetric: boolean;
  readonly states: number;
  readonly transitions: number;
  /** The longest of the shortest ways to a state. */
  readonly depth: number;
  readonly seconds: number;
  /** What ended the search before every state was expanded. */
  readonly bound: Bound | null;
  readonly properties: Readonly<Record<PropertyName, PropertyResult>>;
}

/** States expanded between two looks at the clock. */
const STATES_A_TURN = 1 << 14;
/** States to expand from which on several cores are worth their start. */
const PARALLEL_FRONTIER = 1 << 14;
const PROGRESS_INTERVAL_MS = 250;

/** What was searched, on one core or several. */
interface Searched {
  readonly store: StoredStates;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly bound: Bound | null;
  readonly breaches: ReadonlyMap<PropertyName, Breach>;
}

/**
 * Walks every interleaving of the callers around the discipline, as far as the bounds allow, and gives a verdict on
 * each property.
 * @throws RangeError when the configuration is larger than can be explored.
 */
export async function explore(config: ModelConfig, options: ExploreOptions = {}): Promise<Exploration> {
  const repeating = (config.repeating ?? []).length > 0;
  // Who overtakes whom is lost when callers are interchanged.
  const symmetric = (options.symmetric ?? true) && !repeating;
  const model = new QueueModel(config, options.createQueue?.());
  const codec = new StateCodec(model, symmetric);
  const first = new StateStore(codec.words);
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const { store, bound, breaches, ...counts } = await searchAll(
    config,
    model,
    codec,
    first,
    symmetric,
    options,
    seconds,
  );

  const properties = Object.fromEntries(
    PROPERTY_NAMES.map((name): [PropertyName, PropertyResult] => {
      const breach = breaches.get(name);
      if (breach === undefined) return [name, unbroken(bound)];
      const schedule = new Retracing(config, symmetric, options.createQueue?.()).schedule(store, name, breach);
      return [name, broken(runSchedule(config, schedule, options.createQueue?.()).steps)];
    }),
  ) as Record<PropertyName, PropertyResult>;

  if (repeating && bound === null) {
    const cycle = findOvertaking(model, codec, first);
    if (cycle !== undefined) {
      const lead = pathTo(first, cycle.entry).slice(1);
      const schedule = new Retracing(config, symmetric, options.createQueue?.()).along(store, [
        ...lead,
        ...cycle.states,
      ]);
      const { steps } = runSchedule(config, schedule, options.createQueue?.());
      properties.unboundedOvertaking = { ...broken(steps), repeatsFrom: lead.length };
    }
  }

  return {
    config,
    symmetric,
    ...counts,
    seconds: seconds(),
    bound,
    properties,
  };
}

async function searchAll(
  config: ModelConfig,
  model: QueueModel,
  codec: StateCodec,
  store: StateStore,
  symmetric: boolean,
  options: ExploreOptions,
  seconds: () => number,
): Promise<Searched> {
  const workers = options.createQueue === undefined ? (options.workers ?? availableParallelism()) : 1;
  const repeating = (config.repeating ?? []).length > 0;
  const search = new Search(model, codec, store);
  const { expander } = search;
  const watch = new Watch(options, seconds);
  const grain = STATES_A_TURN * config.callers.length;

  let bound: Bound | null = null;
  while (!search.complete && bound === null) {
    search.run(STATES_A_TURN);
    const { transitions, breaches } = expander;
    const { frontier, depth } = search;
    bound = watch.look(
      { states: store.count, frontier, depth, transitions, breaches, bytes: store.bytes },
      store.room < grain,
    );
    if (workers > 1 && !repeating && search.atEndOfLevel && frontier >= PARALLEL_FRONTIER && bound === null) break;
    if (watch.turnIsOver()) await new Promise((resolve) => setImmediate(resolve));
  }
  if (search.complete || bound !== null) {
    const { transitions, breaches } = expander;
    return {
      store,
      states: store.count,
      transitions,
      depth: search.depth,
      bound: search.complete ? null : bound,
      breaches,
    };
  }

  const begun = { next: search.next, breaches: expander.breaches };
  const parallel = new ParallelSearch(config, symmetric, codec.words, store, begun, search.depth, workers);
  try {
    while (!parallel.complete && bound === null) {
      await parallel.run();
      const { count: states, frontier, depth, breaches, bytes } = parallel;
      const transitions = expander.transitions + parallel.transitions;
      bound = watch.look({ states, frontier, depth, transitions, breaches, bytes }, parallel.room <= 0);
    }
  } finally {
    await parallel.end();
  }
  return {
    store: parallel,
    states: parallel.count,
    transitions: expander.transitions + parallel.transitions,
    depth: parallel.depth,
    bound: parallel.complete ? null : bound,
    breaches: parallel.breaches,
  };
}

/** Where a search stands, for its bounds and for whoever watches it. */
interface Standing extends Pick<Progress, 'states' | 'frontier' | 'depth' | 'transitions'> {
  readonly bytes: number;
  readonly breaches: ReadonlyMap<PropertyName, Breach>;
}

/** Looks after the bounds of a search, and reports its progress. */
class Watch {
  private reported = 0;
  private turnBegan = performance.now();

  constructor(
    private readonly options: ExploreOptions,
    private readonly seconds: () => number,
  ) {}

  /** @param full the next turn may take twice the memory. */
  look({ bytes, breaches, ...standing }: Standing, full: boolean): Bound | null {
    const { maxStates, maxMiB, maxSeconds, signal, progress } = this.options;
    const seconds = this.seconds();
    if (progress !== undefined && seconds - this.reported >= PROGRESS_INTERVAL_MS / 1000) {
      this.reported = seconds;
      progress({ ...standing, seconds, mebibytes: bytes / 2 ** 20, broken: [...breaches.keys()] });
    }
    if (signal?.aborted) return 'interrupted';
    if (maxStates !== undefined && standing.states >= maxStates) return 'states';
    if (maxMiB !== undefined && full && 2 * bytes > maxMiB * 2 ** 20) return 'memory';
    if (maxSeconds !== undefined && seconds >= maxSeconds) return 'time';
    return null;
  }

  /** It is time to let timers and signals in. */
  turnIsOver(): boolean {
    const now = performance.now();
    if (now - this.turnBegan < 50) return false;
    this.turnBegan = now;
    return true;
  }
}

function unbroken(bound: Bound | null): PropertyResult {
  return { verdict: bound === null ? 'holds' : 'bounded', steps: null, schedule: [] };
}

function broken(schedule: readonly ScheduledStep[]): PropertyResult {
  return { verdict: 'broken', steps: schedule.length, schedule };
}
