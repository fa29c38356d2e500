/**
 * Replaces the class that the explorer imports from `node:worker_threads`. In the browser it explores with one thread
 * and starts no workers.
 */
export class Worker {
  constructor() {
    throw new Error('the playground explores in one worker');
  }
}

export const parentPort = null;
export const workerData = undefined;
