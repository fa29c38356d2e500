import { availableParallelism } from 'node:os';
import type { QueueModel } from '../model/queue-model.js';
import type { PropertyName } from '../properties/properties.js';
import type { StateCodec, StateForm } from '../states/state-codec.js';
import { StateStore } from '../states/state-store.js';
import type { StoredStates } from './counterexample.js';
import type { Breach } from './expander.js';
import type { Bound, ExploreOptions, Progress } from './explore-options.js';
import { ParallelSearch } from './parallel-search.js';
import { Search } from './search.js';

/** The number of states expanded between two checks of the clock. */
const STATES_A_TURN = 1 << 14;
/** The number of unexpanded states from which a parallel search is worth its start. */
const PARALLEL_FRONTIER = 1 << 14;
const PROGRESS_INTERVAL_MS = 250;

/** The subject of a search. */
export interface Subject {
  /** In its first state. */
  readonly model: QueueModel;
  readonly codec: StateCodec;
  readonly form: StateForm;
}

/** The result of a search, single-threaded or parallel. */
export interface Searched {
  readonly store: StoredStates;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** Memory for the states in bytes. */
  readonly bytes: number;
  readonly bound: Bound | null;
  readonly breaches: ReadonlyMap<PropertyName, Breach>;
  /** The `OCCASIONS` that have occurred, as bits. */
  readonly occasions: number;
  /**
   * The discipline depends on more of the number of returned calls than these states store, so the results are invalid.
   */
  readonly looksFurther: boolean;
}

/** Expand every reachable state, up to the bounds; first on one processor, and on several if there are many states. */
export async function searchAll({ model, codec, form }: Subject, options: ExploreOptions): Promise<Searched> {
  const { config } = model;
  const workers = options.createQueue === undefined ? (options.workers ?? availableParallelism()) : 1;
  const repeating = (config.repeating ?? []).length > 0;
  const store = new StateStore(codec.words);
  const search = new Search(model, codec, store);
  const { expander } = search;
  const watch = new Watch(options);
  const grain = STATES_A_TURN * config.callers.length;

  let bound: Bound | null = null;
  while (!search.complete && bound === null && !expander.looksFurther) {
    search.run(STATES_A_TURN);
    const { transitions, breaches } = expander;
    const { frontier, depth } = search;
    bound = watch.look(
      { states: store.count, frontier, depth, transitions, breaches, bytes: search.bytes },
      store.room < grain,
    );
    if (workers > 1 && !repeating && search.atEndOfLevel && frontier >= PARALLEL_FRONTIER && bound === null) break;
    if (watch.turnIsOver()) await new Promise((resolve) => setImmediate(resolve));
  }
  if (search.complete || bound !== null || expander.looksFurther) {
    const { transitions, breaches, occasions, looksFurther } = expander;
    return {
      store,
      states: store.count,
      transitions,
      depth: search.depth,
      bytes: search.bytes,
      bound: search.complete ? null : bound,
      breaches,
      occasions,
      looksFurther,
    };
  }

  const begun = { next: search.next, breaches: expander.breaches };
  const parallel = new ParallelSearch(config, form, codec.words, store, begun, search.depth, workers);
  try {
    while (!parallel.complete && bound === null && !parallel.looksFurther) {
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
    bytes: parallel.bytes,
    bound: parallel.complete ? null : bound,
    breaches: parallel.breaches,
    occasions: expander.occasions | parallel.occasions,
    looksFurther: parallel.looksFurther,
  };
}

/** The status of a search, for its bounds and its progress reports. */
interface Standing extends Pick<Progress, 'states' | 'frontier' | 'depth' | 'transitions'> {
  readonly bytes: number;
  readonly breaches: ReadonlyMap<PropertyName, Breach>;
}

/** Checks the bounds of a search, and reports its progress. */
class Watch {
  private reported = 0;
  private readonly start = performance.now();
  private turnBegan = this.start;

  constructor(private readonly options: ExploreOptions) {}

  /** @param full the next turn may double the memory. */
  look({ bytes, breaches, ...standing }: Standing, full: boolean): Bound | null {
    const { maxStates, maxMiB, maxSeconds, signal, progress } = this.options;
    const seconds = (performance.now() - this.start) / 1000;
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

  /** Whether it is time to let timers and signals be handled. */
  turnIsOver(): boolean {
    const now = performance.now();
    if (now - this.turnBegan < 50) return false;
    this.turnBegan = now;
    return true;
  }
}
