/**
 * `npm run bench:optee [-- --json] [--runs N] [--seconds N] [--side NAME]...`: compares Linux's driver, Linux's driver
 * with the hand-off queue (`linuxHandOff`), and normalworld's. Each is booted in turn on the same OP-TEE, QEMU and
 * machine; the figures are medians of the runs, with the range of the middle half of them. In addition it measures normalworld on a newer OP-TEE over SMCs (`sid`)
 * and over FF-A (`ffa`), if they exist. Compare only figures of one run, because the speed of machines drifts.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { buildModules } from '../linux/kernel/modules.js';
import { fetchKernel } from '../linux/kernel/packages.js';
import { prepareFigures } from './linux/figures.js';
import { opteeOf, ownSides } from './optee-sides.js';

const linuxSides = ['linux', 'linuxHandOff'];
const known = [...linuxSides, ...Object.keys(ownSides)];
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    side: { type: 'string', multiple: true, default: known },
  },
});
const runs = Number(values.runs);
const seconds = Number(values.seconds);
const say = (text) => process.stderr.write(`${text}\n`);
for (const side of values.side)
  if (!known.includes(side)) throw new Error(`no side "${side}"; allowed: ${known.join(', ')}`);

const drivers = new Map();
const sides = [];
for (const side of known.filter((each) => values.side.includes(each))) {
  if (side === 'linux') await prepareFigures(say, seconds);
  if (side === 'linuxHandOff') drivers.set(side, (await buildModules(await fetchKernel('6.12', say), say)).optee);
  if (linuxSides.includes(side) || (await opteeOf(side)) !== undefined) sides.push(side);
  else say(`without ${side}: ${ownSides[side].how}`);
}
const all = Object.fromEntries(sides.map((side) => [side, []]));
for (let run = 1; run <= runs; run++)
  for (const side of sides) {
    say(`run ${run} of ${runs}: ${side}`);
    all[side].push(await figures(side));
  }

const summary = (share) => Object.fromEntries(sides.map((side) => [side, quantiles(all[side], share)]));
const results = summary(0.5);
const [low, high] = [summary(0.25), summary(0.75)];
if (values.json) {
  console.log(JSON.stringify({ runs, ...results, lowQuartile: low, highQuartile: high }));
} else {
  const { linux, normalworld } = results;
  const times = (key) => (key.endsWith('Ms') ? linux[key] / normalworld[key] : normalworld[key] / linux[key]);
  const row = (key) => ({
    ...Object.fromEntries(sides.map((side) => [side, `${round(results[side][key])} ${range(side, key)}`])),
    ...(linux === undefined || normalworld === undefined ? {} : { 'normalworld, times better': round(times(key)) }),
  });
  console.table(Object.fromEntries(Object.keys(results[sides[0]]).map((key) => [key, row(key)])));
}

async function figures(side) {
  const program = fileURLToPath(new URL('optee-run.js', import.meta.url));
  const args = [program, side, String(seconds), ...(drivers.has(side) ? [drivers.get(side)] : [])];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

/** @param {number} share 0.5: the medians of the figures. */
function quantiles(figures, share) {
  return Object.fromEntries(
    Object.keys(figures[0]).map((key) => {
      const sorted = figures.map((each) => each[key]).sort((a, b) => a - b);
      return [key, sorted[Math.floor(sorted.length * share)]];
    }),
  );
}

function range(side, key) {
  return `(${round(low[side][key])} to ${round(high[side][key])})`;
}

function round(number) {
  return Number(number.toPrecision(3));
}
