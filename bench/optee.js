/**
 * `npm run bench:optee [-- --json] [--runs N] [--seconds N]`: normalworld's driver and Linux's, each booted anew in turn on
 * the same OP-TEE, QEMU and machine, medians of the runs. Compare figures of one run; machines drift.
 */
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { linuxFigures } from './linux/figures.js';
import { prepareLinux } from './linux/prepare.js';
import { normalworldFigures } from './optee-figures.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
  },
});
/** Between two QEMUs: the host has the memory of the last one to give back, which would slow the next one's start. */
const settleMs = 2000;
const runs = Number(values.runs);
const seconds = Number(values.seconds);
const say = (text) => process.stderr.write(`${text}\n`);

const args = await prepareLinux(say, seconds);
const all = { linux: [], normalworld: [] };
for (let run = 1; run <= runs; run++) {
  say(`run ${run} of ${runs}: Linux`);
  await setTimeout(settleMs);
  all.linux.push(await linuxFigures(args));
  say(`run ${run} of ${runs}: normalworld`);
  await setTimeout(settleMs);
  all.normalworld.push(await normalworldFigures(seconds));
}

const linux = medians(all.linux);
const normalworld = medians(all.normalworld);
if (values.json) {
  console.log(JSON.stringify({ runs, linux, normalworld }));
} else {
  const ratio = (key) => (key.endsWith('Ms') ? linux[key] / normalworld[key] : normalworld[key] / linux[key]);
  console.table(
    Object.fromEntries(
      Object.keys(normalworld).map((key) => [
        key,
        { linux: round(linux[key]), normalworld: round(normalworld[key]), 'times better': round(ratio(key)) },
      ]),
    ),
  );
}

function medians(figures) {
  return Object.fromEntries(
    Object.keys(figures[0]).map((key) => {
      const sorted = figures.map((each) => each[key]).sort((a, b) => a - b);
      return [key, sorted[Math.floor(sorted.length / 2)]];
    }),
  );
}

function round(number) {
  return Number(number.toPrecision(3));
}
