/**
 * The whole path: client → driver → message → SMC → simulated trusted application → back.
 */
import { fileURLToPath } from 'node:url';
import { openTee, trustedApplication, value } from '../dist/index.js';

const uuid = 'c0ffee00-0000-4000-8000-000000000001';

/** Adds one to a value. */
export const incrementer = trustedApplication({
  uuid,
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    invokeCommand(call) {
      call.value(0).a += 1;
    },
  }),
});

const rateRounds = 7;
const callsPerRound = 100_000;

/**
 * @param {{ calls?: number, progress?: boolean }} [options] `calls`: how many the memory is watched over.
 * @returns {Promise<{ perSecond: number, heapGrowthMiB: number, calls: number }>} the median rate of one caller that
 *   waits for each answer, and how much larger the heap is after `calls` calls than after the first tenth of them.
 */
export async function benchInvoke({ calls = 10_000_000, progress = false } = {}) {
  const tee = await openTee({ trustedApplications: [incrementer] });
  const session = await tee.openContext().openSession(uuid);
  const parameters = [value.inout(1, 2)];
  const run = async (count) => {
    for (let call = 0; call < count; call++) await session.invoke(1, parameters);
  };

  await run(callsPerRound);
  const seconds = [];
  for (let round = 0; round < rateRounds; round++) {
    const start = performance.now();
    await run(callsPerRound);
    seconds.push((performance.now() - start) / 1000);
  }

  const heaps = [];
  for (let tenth = 0; tenth < 10; tenth++) {
    await run(calls / 10);
    heaps.push(heapUsed());
    if (progress) process.stderr.write(`\r${((tenth + 1) * calls) / 10} of ${calls} calls`);
  }
  if (progress) process.stderr.write('\n');
  await tee.close();
  seconds.sort((a, b) => a - b);
  return {
    perSecond: Math.round(callsPerRound / seconds[Math.floor(rateRounds / 2)]),
    heapGrowthMiB: Math.round(((heaps[9] - heaps[0]) / 2 ** 20) * 100) / 100,
    calls,
  };
}

/** Bytes of live objects: after a full collection, which needs `node --expose-gc`. */
function heapUsed() {
  if (globalThis.gc === undefined) throw new Error('run this with node --expose-gc: memory growth is measured by it');
  globalThis.gc();
  return process.memoryUsage().heapUsed + process.memoryUsage().external;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await benchInvoke({ progress: true }));
