/**
 * The call queue alone, without secure world: hand-off with the minimal asynchronous wrapper of the driver, compared
 * with semaphores from npm; and its cost per call with many and with few waiters.
 *
 * All contenders run in one process in interleaved rounds; medians are compared.
 */
import { fileURLToPath } from 'node:url';
import { Semaphore } from 'async-mutex';
import { Sema } from 'async-sema';
import pLimit from 'p-limit';
import { CallWaiter } from '../dist/optee/call-queue/call-queue.js';
import { createCallQueue } from '../dist/optee/call-queue/disciplines.js';

const THREADS = 4;
const CLIENTS = 64;
const CALLS_A_CLIENT = 500;
const ROUNDS = 15;

/** Each runs all calls of all clients; each call yields once while it holds its thread. */
const contenders = {
  'hand-off': async () => {
    // What the driver does around its SMC, without the SMC.
    const queue = createCallQueue('hand-off', THREADS);
    await clients(async (label) => {
      const waiter = new CallWaiter(label);
      let wake;
      // Without a value, as in the driver: to resolve a promise with an object costs a look-up of `then`.
      waiter.wake = () => wake();
      const asleep = (resolve) => {
        wake = resolve;
      };
      for (let call = 0; call < CALLS_A_CLIENT; call++) {
        if (queue.enter(waiter, false) === 'sleep') {
          await new Promise(asleep);
          queue.resume(waiter);
        }
        await undefined;
        queue.leave(waiter);
      }
    });
  },
  // The minimum of any queue: a promise for each caller that has to wait, and the await of its call.
  'bare awaits': async () => {
    let free = THREADS;
    const waiting = Array.from({ length: CLIENTS });
    let head = 0;
    let tail = 0;
    const asleep = (resolve) => {
      waiting[tail++ % CLIENTS] = resolve;
    };
    await clients(async () => {
      for (let call = 0; call < CALLS_A_CLIENT; call++) {
        if (free > 0) free--;
        else await new Promise(asleep);
        await undefined;
        if (head === tail) free++;
        else waiting[head++ % CLIENTS]();
      }
    });
  },
  'async-sema': async () => {
    const semaphore = new Sema(THREADS, { capacity: CLIENTS });
    await clients(async () => {
      for (let call = 0; call < CALLS_A_CLIENT; call++) {
        await semaphore.acquire();
        await undefined;
        semaphore.release();
      }
    });
  },
  'async-mutex': async () => {
    const semaphore = new Semaphore(THREADS);
    await clients(async () => {
      for (let call = 0; call < CALLS_A_CLIENT; call++) {
        const [, release] = await semaphore.acquire();
        await undefined;
        release();
      }
    });
  },
  'p-limit': async () => {
    const limit = pLimit(THREADS);
    await clients(async () => {
      for (let call = 0; call < CALLS_A_CLIENT; call++) await limit(async () => undefined);
    });
  },
};

/** @param {(label: number) => Promise<void>} client */
async function clients(client) {
  await Promise.all(Array.from({ length: CLIENTS }, (_, label) => client(label)));
}

/**
 * Nanoseconds for one call (enter at the tail, a leave that hands the thread to the head, its resume) with this number
 * of waiting callers.
 * @param {number} waiterCount
 */
function costWithWaiters(waiterCount) {
  const queue = createCallQueue('hand-off', 1);
  const ring = Array.from({ length: waiterCount + 1 }, (_, label) => new CallWaiter(label));
  for (const waiter of ring) queue.enter(waiter, false);
  const calls = 400_000;
  let at = 0;
  const start = performance.now();
  for (let call = 0; call < calls; call++) {
    const holder = ring[at];
    at = at === waiterCount ? 0 : at + 1;
    queue.leave(holder);
    queue.resume(ring[at]);
    queue.enter(holder, false);
  }
  return ((performance.now() - start) * 1e6) / calls;
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/**
 * @returns {Promise<{
 * ratioToAsyncSema: number,
 * partOfBareAwaits: number,
 * costRatio100kTo10: number,
 * contention: { name: string, callsPerSecond: number, ratioToHandOff: number }[],
 * waiting: { waiters: number, nanosecondsPerCall: number }[],
 * }>} `ratioToAsyncSema`: hand-off's rate relative to async-sema; `partOfBareAwaits`: relative to the awaits alone,
 * without the rules of a queue; `costRatio100kTo10`: cost per call with 100,000 waiters relative to 10.
 */
export async function benchQueue() {
  /** @type {Record<string, number[]>} */
  const seconds = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
  for (let round = -2; round < ROUNDS; round++) {
    for (const [name, run] of Object.entries(contenders)) {
      const start = performance.now();
      await run();
      if (round >= 0) seconds[name].push((performance.now() - start) / 1000);
    }
  }
  const rate = (name) => (CLIENTS * CALLS_A_CLIENT) / median(seconds[name]);

  const sizes = [10, 1_000, 100_000];
  /** @type {Map<number, number[]>} */
  const costs = new Map(sizes.map((waiters) => [waiters, []]));
  for (let round = -1; round < ROUNDS; round++) {
    for (const [waiters, measured] of costs) {
      const cost = costWithWaiters(waiters);
      if (round >= 0) measured.push(cost);
    }
  }
  const waiting = sizes.map((waiters) => ({ waiters, nanosecondsPerCall: median(costs.get(waiters) ?? []) }));

  return {
    ratioToAsyncSema: rate('hand-off') / rate('async-sema'),
    partOfBareAwaits: rate('hand-off') / rate('bare awaits'),
    costRatio100kTo10: waiting[2].nanosecondsPerCall / waiting[0].nanosecondsPerCall,
    contention: Object.keys(contenders).map((name) => ({
      name,
      callsPerSecond: Math.round(rate(name)),
      ratioToHandOff: rate(name) / rate('hand-off'),
    })),
    waiting,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { contention, waiting, ...ratios } = await benchQueue();
  console.table(contention);
  console.table(waiting);
  console.log(ratios);
}
