/**
 * The cost of finding the session of a call when many sessions are open. Ten sessions are used, spread over all open
 * ones, so that only the number of sessions differs and not the cache footprint of the calls.
 */
import { fileURLToPath } from 'node:url';
import { openTee, value } from '../dist/index.js';
import { incrementer } from './invoke.js';

const sizes = [10, 10_000];
const sessionsInUse = 10;
const rounds = 15;
const calls = 50_000;

/**
 * @returns {Promise<{ lookupCostRatio10kTo10: number, lookup: { sessions: number, microsecondsPerInvoke: number }[] }>}
 * the cost of an invoke with 10,000 open sessions relative to 10; medians of interleaved rounds.
 */
export async function benchSessions() {
  const worlds = [];
  for (const size of sizes) {
    const tee = await openTee({ trustedApplications: [incrementer] });
    const context = tee.openContext();
    const sessions = [];
    while (sessions.length < size) sessions.push(await context.openSession(incrementer.uuid));
    const used = Array.from({ length: sessionsInUse }, (_, index) => sessions[(index * size) / sessionsInUse]);
    worlds.push({ size, tee, used, microseconds: [] });
  }
  const parameters = [value.inout(1, 2)];
  for (let round = -1; round < rounds; round++) {
    for (const { used, microseconds } of worlds) {
      const start = performance.now();
      for (let call = 0; call < calls; call++) await used[call % sessionsInUse].invoke(1, parameters);
      if (round >= 0) microseconds.push(((performance.now() - start) * 1000) / calls);
    }
  }
  for (const { tee } of worlds) await tee.close();
  const lookup = worlds.map(({ size, microseconds }) => {
    microseconds.sort((a, b) => a - b);
    return { sessions: size, microsecondsPerInvoke: microseconds[Math.floor(rounds / 2)] };
  });
  return { lookupCostRatio10kTo10: lookup[1].microsecondsPerInvoke / lookup[0].microsecondsPerInvoke, lookup };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await benchSessions());
