import { parentPort, workerData } from 'node:worker_threads';
import { RunMaker, type RunSettings, type WorkerTask } from './run-maker.js';

/** Makes the runs that it receives, one after the other, and sends back their results. */
const explored = new Set<string>();
const maker = new RunMaker(workerData as RunSettings);
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', ({ task, learnt }: WorkerTask) => {
  for (const state of learnt) explored.add(state);
  last = last.then(async () => parentPort?.postMessage(await maker.make(task, explored)));
});
