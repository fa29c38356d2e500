/** The whole path of an invoke: client → driver → message → SMC → simulated trusted application → back. */
import { fileURLToPath } from 'node:url';
import { openTee, trustedApplication, value } from '../dist/index.js';

const uuid = 'c0ffee00-0000-4000-8000-000000000001';

/** A trusted application that adds one to a value. */
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

/**
 * The minimum of asynchronous code in an invoke: the client's function awaits the driver's, which awaits the path
 * through the queue and secure world and back. Each is asynchronous, because it may have to wait.
 */
const bareAwaits = (() => {
  let entered = 0;
  const call = async () => {
    entered++;
  };
  const driver = async () => {
    await call();
    return entered;
  };
  return async () => {
    const reply = await driver();
    return [reply];
  };
})();

const rateRounds = 7;
const callsPerRound = 100_000;

/**
 * @param {{ calls?: number, progress?: boolean }} [options] `calls`: number of calls for the measurement of memory.
 * @returns {Promise<{ perSecond: number, bareAwaitsPerSecond: number, partOfBareAwaits: number, heapGrowthMiB: number,
 * calls: number }>} the median rate of one caller that waits for each answer; the rate of the bare awaits of such a
 * call, in alternating rounds; the ratio of the two; and the growth of the heap from the first tenth of `calls` calls
 * to the end.
 */
export async function benchInvoke({ calls = 10_000_000, progress = false } = {}) {
  const tee = await openTee({ trustedApplications: [incrementer] });
  const session = await tee.openContext().openSession(uuid);
  const parameters = [value.inout(1, 2)];
  const run = async (count) => {
    for (let call = 0; call < count; call++) await session.invoke(1, parameters);
  };

  const runBare = async (count) => {
    for (let call = 0; call < count; call++) await bareAwaits();
  };

  const seconds = { call: [], bare: [] };
  for (let round = -1; round < rateRounds; round++)
    for (const [name, measured] of [
      ['call', run],
      ['bare', runBare],
    ]) {
      const start = performance.now();
      await measured(callsPerRound);
      if (round >= 0) seconds[name].push((performance.now() - start) / 1000);
    }

  const heaps = [];
  for (let tenth = 0; tenth < 10; tenth++) {
    await run(calls / 10);
    heaps.push(heapUsed());
    if (progress) process.stderr.write(`\r${((tenth + 1) * calls) / 10} of ${calls} calls`);
  }
  if (progress) process.stderr.write('\n');
  await tee.close();
  const rate = (name) => callsPerRound / seconds[name].sort((a, b) => a - b)[Math.floor(rateRounds / 2)];
  const perSecond = rate('call');
  const bare = rate('bare');
  return {
    perSecond: Math.round(perSecond),
    bareAwaitsPerSecond: Math.round(bare),
    partOfBareAwaits: Math.round((perSecond / bare) * 1000) / 1000,
    heapGrowthMiB: Math.round(((heaps[9] - heaps[0]) / 2 ** 20) * 100) / 100,
    calls,
  };
}

/** Size of live objects in bytes, after a full garbage collection, which needs `node --expose-gc`. */
function heapUsed() {
  if (globalThis.gc === undefined) throw new Error('run this with node --expose-gc: memory growth is measured by it');
  globalThis.gc();
  return process.memoryUsage().heapUsed + process.memoryUsage().external;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await benchInvoke({ progress: true }));
