import { Worker } from 'node:worker_threads';
import type { ModelConfig } from '../model/queue-model.js';
import type { PropertyName } from '../properties/properties.js';
import { CURSOR, closeGap, type SharedStates, shareStates, TAKEN } from '../states/shared-state-store.js';
import type { StateForm } from '../states/state-codec.js';
import { NO_STATE, type StateStore } from '../states/state-store.js';
import type { Breach } from './expander.js';
import type { LevelDone, LevelTask } from './level-task.js';

/** States expanded between two returns to the caller. */
const STATES_A_TURN = 1 << 18;
/** States that the shared memory has room for at first. */
const FIRST_CAPACITY = 1 << 21;
/** Records that may be taken by chunks begun before room ran out: for each worker, one of 256 states of 12 callers. */
const MARGIN_A_WORKER = 256 * 12 + 1;

/**
 * Breadth-first search on several cores, level by level, going on from where a search on one core came to the end of a
 * level. The breaches that it finds are as short as that one's; which of several equally short it shows may vary.
 */
export class ParallelSearch {
  count: number;
  /** The next state to expand. */
  next: number;
  transitions = 0;
  occasions = 0;
  looksFurther = false;
  readonly breaches: Map<PropertyName, Breach>;
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
    /** Steps from the start to the states of the level being expanded. */
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
    return this.shared.records.byteLength + this.shared.table.byteLength;
  }

  /** States that can be added before the search takes twice the memory. */
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

  /** Expands states of one level, as far as there is room for; grows when there is none. */
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
