/** What the explorer imports of Node's threads; here it is one thread's work, and none is ever started. */
export class Worker {
  constructor() {
    throw new Error('the playground explores in one worker');
  }
}

export const parentPort = null;
export const workerData = undefined;
