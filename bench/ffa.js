/**
 * The same call over FF-A and over raw SMCs: client → driver → simulated trusted application → back. CPU time is
 * compared, because nothing waits, and other load on the machine must not count.
 */
import { fileURLToPath } from 'node:url';
import { openTee, value } from '../dist/index.js';
import { incrementer } from './invoke.js';

const rounds = 15;
const callsPerRound = 30_000;

/**
 * @returns {Promise<{ smcMicroseconds: number, ffaMicroseconds: number, ffaCostRatio: number }>} medians of interleaved
 *   rounds, and the median of the rounds' ratios.
 */
export async function benchFfa() {
  const ways = [];
  for (const abi of ['smc', 'ffa']) {
    const tee = await openTee({ simulated: { abi }, trustedApplications: [incrementer] });
    ways.push({ tee, session: await tee.openContext().openSession(incrementer.uuid), microseconds: [] });
  }
  const parameters = [value.inout(1, 2)];
  for (let round = -3; round < rounds; round++)
    for (const { session, microseconds } of ways) {
      const start = process.cpuUsage();
      for (let call = 0; call < callsPerRound; call++) await session.invoke(1, parameters);
      const { user, system } = process.cpuUsage(start);
      if (round >= 0) microseconds.push((user + system) / callsPerRound);
    }
  for (const { tee } of ways) await tee.close();
  const [smc, ffa] = ways.map(({ microseconds }) => microseconds);
  return {
    smcMicroseconds: median(smc),
    ffaMicroseconds: median(ffa),
    ffaCostRatio: median(ffa.map((cost, round) => cost / smc[round])),
  };
}

/** The median of an odd number of values; the array is not changed. */
function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await benchFfa());
