import { Worker } from 'node:worker_threads';
import type { ModelConfig } from '../model/queue-model.js';
import type { PropertyName } from '../properties/properties.js';
import { CURSOR, closeGap, type SharedStates, shareStates, TAKEN } from '../states/shared-state-store.js';
import type { StateForm } from '../states/state-codec.js';
import { NO_STATE, type StateStore } from '../states/state-store.js';
import type { Breach } from './expander.js';
import type { LevelDone, LevelTask } from './level-task.js';

/** The number of states expanded between two returns to the caller. */
const STATES_A_TURN = 1 << 18;
/** The initial capacity of the shared memory, in states. */
const FIRST_CAPACITY = 1 << 21;
/**
 * Records per worker that may still be taken after the memory is full, by the chunk in progress: 256 states with 12
 * callers each.
 */
const MARGIN_A_WORKER = 256 * 12 + 1;

/**
 * Breadth-first search on several processors, level by level. It continues a single-threaded search at the end of a
 * level. The violations that it finds have the same number of steps; which of several equally short ones it returns can
 * vary.
 */
export class ParallelSearch {
  count: number;
  /** The next state to expand. */
  next: number;
  transitions = 0;
  occasions = 0;
  looksFurther = false;
  readonly breaches: Map<PropertyName, Breach>;
  private bytesKnown = 0;
  private shared: SharedStates;
  private capacity = FIRST_CAPACITY;
  private endOfLevel: number;
  private readonly workers: readonly Worker[];

  constructor(
    private readonly config: ModelConfig,
    private readonly form: StateForm,
    private readonly stateWords: number,
    store: StateStore,
    begun: { readonly next: number; readonly breaches: ReadonlyMap<PropertyName, Breach> },
    /** The number of steps from the start to the states of the present level. */
    public depth: number,
    workers: number,
  ) {
    this.count = store.count;
    this.next = begun.next;
    this.endOfLevel = begun.next;
    this.breaches = new Map(begun.breaches);
    while (this.capacity < 2 * this.count) this.capacity *= 2;
    this.shared = shareStates(store, stateWords, this.count, this.capacity);
    this.workers = Array.from({ length: workers }, () => new Worker(new URL('./level-worker.js', import.meta.url)));
  }

  get complete(): boolean {
    return this.next === this.count;
  }

  get frontier(): number {
    return this.count - this.next;
  }

  get bytes(): number {
    return this.shared.records.byteLength + this.shared.table.byteLength + this.bytesKnown;
  }

  /** The number of states that can be added before the memory is doubled. */
  get room(): number {
    return this.capacity - this.margin - this.count;
  }

  get records(): Uint32Array {
    return new Uint32Array(this.shared.records);
  }

  offset(state: number): number {
    return state * (this.stateWords + 1);
  }

  parent(state: number): number {
    return this.records[this.offset(state) + this.stateWords] ?? NO_STATE;
  }

  /** Expand states of one level, as far as there is room. Without room, grow first. */
  async run(): Promise<void> {
    if (this.next === this.endOfLevel) {
      this.depth++;
      this.endOfLevel = this.count;
    }
    if (this.room <= 0) this.grow();
    const control = new Uint32Array(this.shared.control);
    Atomics.store(control, CURSOR, this.next);
    const end = Math.min(this.endOfLevel, this.next + STATES_A_TURN);
    const task: LevelTask = {
      config: this.config,
      form: this.form,
      shared: this.shared,
      end,
      depth: this.depth,
      stopAt: this.capacity - this.margin,
    };
    const done = await Promise.all(this.workers.map((worker) => ask(worker, task)));

    this.next = Math.min(Atomics.load(control, CURSOR), end);
    this.count = Atomics.load(control, TAKEN);
    const gaps = done.flatMap(({ spare }) => (spare === null ? [] : [spare])).sort((one, other) => other - one);
    const moved = new Map<number, number>();
    for (const gap of gaps) {
      moved.set(this.count - 1, gap);
      this.count = closeGap(this.shared, gap, this.count);
    }
    Atomics.store(control, TAKEN, this.count);
    this.bytesKnown = done.reduce((sum, { bytesKnown }) => sum + bytesKnown, 0);
    for (const { transitions, breaches, occasions, looksFurther } of done) {
      this.transitions += transitions;
      this.occasions |= occasions;
      this.looksFurther ||= looksFurther;
      for (const [name, breach] of breaches) {
        const known = this.breaches.get(name);
        const state = moved.get(breach.state) ?? breach.state;
        if (known === undefined || breach.steps < known.steps) this.breaches.set(name, { ...breach, state });
      }
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }

  private get margin(): number {
    return this.workers.length * MARGIN_A_WORKER;
  }

  private grow(): void {
    this.capacity *= 2;
    this.shared = shareStates(this, this.stateWords, this.count, this.capacity);
  }
}

function ask(worker: Worker, task: LevelTask): Promise<LevelDone> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (done: LevelDone) => {
      worker.removeListener('error', reject);
      resolve(done);
    });
    worker.postMessage(task);
  });
}
