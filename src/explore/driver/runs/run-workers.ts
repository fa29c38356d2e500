import { Worker } from 'node:worker_threads';
import type { JudgedRun } from './judge-run.js';
import type { RunSettings, WorkerTask } from './run-maker.js';
import type { RunTask } from './run-source.js';

/** The maximum number of runs that a worker has at once. */
const QUEUED_A_WORKER = 4;

/** Worker threads that make runs. */
export class RunWorkers implements AsyncDisposable {
  private readonly workers: readonly PooledWorker[];

  /** @param explored states that need not be explored again. */
  constructor(settings: RunSettings, count: number, explored: ReadonlySet<string>) {
    this.workers = Array.from({ length: count }, () => new PooledWorker(settings));
    this.learn([...explored]);
  }

  /** The number of runs to have in progress, so that no worker is idle. */
  get width(): number {
    return this.workers.length * QUEUED_A_WORKER;
  }

  /** Add states that need not be explored again. */
  learn(states: readonly string[]): void {
    for (const worker of this.workers) worker.learn(states);
  }

  make(task: RunTask): Promise<JudgedRun> {
    const leastLoaded = this.workers.reduce((one, other) => (other.queued < one.queued ? other : one));
    return leastLoaded.make(task);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.end()));
  }
}

class PooledWorker {
  private readonly worker: Worker;
  /** In the order of the tasks, which is also the order of the answers. */
  private readonly pending: {
    readonly resolve: (run: JudgedRun) => void;
    readonly reject: (error: unknown) => void;
  }[] = [];

  /** New states that are sent with the next run. */
  private learnt: string[] = [];

  constructor(settings: RunSettings) {
    this.worker = new Worker(new URL('./run-worker.js', import.meta.url), { workerData: settings });
    this.worker.on('message', (run: JudgedRun) => this.pending.shift()?.resolve(run));
    this.worker.on('error', (error) => {
      for (const { reject } of this.pending.splice(0)) reject(error);
    });
  }

  get queued(): number {
    return this.pending.length;
  }

  learn(states: readonly string[]): void {
    this.learnt.push(...states);
  }

  make(task: RunTask): Promise<JudgedRun> {
    this.worker.postMessage({ task, learnt: this.learnt } satisfies WorkerTask);
    this.learnt = [];
    return new Promise((resolve, reject) => this.pending.push({ resolve, reject }));
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}
