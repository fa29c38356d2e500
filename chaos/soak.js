/**
 * `npm run soak -- [--hours N] [--seed N] [--world simulated|optee|both]`: chaos tests for hours, with the same checks,
 * and a table at the end. With both worlds, each has half of the time. Exit code 1 if there was a finding.
 */
import { parseArgs } from 'node:util';
import { run } from './run.js';

const { values } = parseArgs({
  options: {
    hours: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    world: { type: 'string', default: 'both' },
  },
});
const hours = Number(values.hours);
const seed = Number(values.seed);
if (!(hours > 0 && hours < 1000) || !Number.isInteger(seed) || !['simulated', 'optee', 'both'].includes(values.world)) {
  console.error('usage: npm run soak -- [--hours N] [--seed N] [--world simulated|optee|both]');
  process.exit(2);
}
const worlds = values.world === 'both' ? ['simulated', 'optee'] : [values.world];
console.log(`seed ${seed}`);
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const sum = (counts, matches) =>
  [...counts].reduce((total, [what, count]) => (matches(what) ? total + count : total), 0);
let found = 0;
for (const world of worlds) {
  const seconds = (hours * 3600) / worlds.length;
  const begun = performance.now();
  let last = begun;
  const { findings, memory } = await run({
    ...{ seed, seconds, worlds: [world] },
    log: (line) => {
      // Print progress every minute.
      if (performance.now() - last < 60_000) return;
      last = performance.now();
      console.log(`${((last - begun) / 60_000).toFixed(0)} min: ${line}`);
    },
  });
  const { counts } = findings;
  const rows = [
    ['seed', seed],
    ['minutes', ((performance.now() - begun) / 60_000).toFixed(1)],
    ['rounds, each with a TEE of its own', sum(counts, (what) => what.startsWith('rounds:'))],
    [
      'calls of clients that did nothing wrong, all answered right',
      sum(counts, (what) => /witness|of OP-TEE$/.test(what)),
    ],
    [
      'other calls that succeeded',
      sum(
        counts,
        (what) =>
          /^(get|put|many|socket|wait|notif|open|close|create|read|hostile|panic)/.test(what) &&
          !what.endsWith('refused'),
      ),
    ],
    ['calls that were refused, each with an error of a TEE', sum(counts, (what) => what.endsWith(': refused'))],
    ['faults behind the supplicant', sum(counts, (what) => what.startsWith('faults:'))],
    ['clients killed', sum(counts, (what) => what === 'clients killed')],
    ['client processes killed', sum(counts, (what) => what === 'processes killed')],
    ['supplicants that left', sum(counts, (what) => what === 'supplicants that left')],
    ['QEMUs killed', sum(counts, (what) => what === 'QEMUs killed')],
    [
      'heap, last quarter against second',
      `${memory.growth('heap') >= 0 ? '+' : ''}${mebibytes(memory.growth('heap'))}`,
    ],
    ['resident at most', mebibytes(memory.peakResident)],
    ['descriptors, children, sockets, temporary files left over; findings', findings.list.length],
  ];
  console.log(
    `\n| ${world} | |\n| --- | --- |\n${rows.map(([what, figure]) => `| ${what} | ${figure} |`).join('\n')}\n`,
  );
  for (const each of findings.list) console.error(`- ${each}`);
  found += findings.list.length;
}
process.exit(found > 0 ? 1 : 0);
