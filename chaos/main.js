/**
 * `npm run chaos -- [--seconds N] [--seed N] [--world simulated|optee|both]`: injects all kinds of faults at random
 * from one seed, and checks the guarantees in docs/reliability.md. Exit code 1 with the findings, which the seed
 * reproduces.
 */
import { parseArgs } from 'node:util';
import { run } from './run.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    world: { type: 'string', default: 'both' },
    quiet: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
if (
  !(seconds > 0 && seconds < 1e6) ||
  !Number.isInteger(seed) ||
  !['simulated', 'optee', 'both'].includes(values.world)
) {
  console.error('usage: npm run chaos -- [--seconds N] [--seed N] [--world simulated|optee|both] [--quiet]');
  process.exit(2);
}
console.log(`seed ${seed}`);
const worlds = values.world === 'both' ? ['simulated', 'optee'] : [values.world];
const { findings, memory } = await run({
  ...{ seed, seconds, worlds, log: values.quiet ? () => {} : console.log },
  onFirst: (what) => console.error(`first finding, after ${Math.round(performance.now() / 1000)} s: ${what}`),
});
for (const [what, count] of [...findings.counts].sort(([a], [b]) => (a < b ? -1 : 1)))
  console.log(`${String(count).padStart(9)}  ${what}`);
console.log(
  `memory: ${(memory.growth('heap') / 2 ** 20).toFixed(1)} MiB growth, ${(memory.peakResident / 2 ** 20).toFixed(0)} MiB resident at most`,
);
if (findings.list.length > 0) {
  console.error(
    `\n${findings.list.length} findings with seed ${seed}:\n${findings.list.map((each) => `- ${each}`).join('\n')}`,
  );
  // After a hang, open resources would keep the process alive.
  process.exit(1);
}
console.log('nothing was found');
