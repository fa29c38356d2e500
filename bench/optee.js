/**
 * `npm run bench:optee [-- --json] [--runs N] [--seconds N] [--side NAME]...`: normalworld's driver, Linux's, and Linux's with
 * the hand-off queue, each booted anew in turn on the same OP-TEE, QEMU and machine, medians of the runs. Compare figures of
 * one run; machines drift.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { buildModules } from '../linux/kernel/modules.js';
import { fetchKernel } from '../linux/kernel/packages.js';
import { prepareFigures } from './linux/figures.js';

const sides = ['linux', 'linuxHandOff', 'normalworld'];
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    side: { type: 'string', multiple: true, default: sides },
  },
});
const runs = Number(values.runs);
const seconds = Number(values.seconds);
const say = (text) => process.stderr.write(`${text}\n`);

const measured = sides.filter((side) => values.side.includes(side));
await prepareFigures(say, seconds);
const handOff = measured.includes('linuxHandOff')
  ? (await buildModules(await fetchKernel('6.12', say), say)).optee
  : '';
const all = Object.fromEntries(measured.map((side) => [side, []]));
for (let run = 1; run <= runs; run++)
  for (const side of measured) {
    say(`run ${run} of ${runs}: ${side}`);
    all[side].push(await figures(side));
  }

const results = Object.fromEntries(measured.map((side) => [side, medians(all[side])]));
if (values.json) {
  console.log(JSON.stringify({ runs, ...results }));
} else {
  const times = (key, side) => {
    const [linux, other] = [results.linux?.[key], results[side][key]];
    return round(key.endsWith('Ms') ? linux / other : other / linux);
  };
  const row = (key) => {
    const figures = measured.map((side) => [side, round(results[side][key])]);
    const better = measured
      .filter((side) => side !== 'linux')
      .map((side) => [`${side}, times better`, times(key, side)]);
    return [key, Object.fromEntries([...figures, ...(results.linux === undefined ? [] : better)])];
  };
  console.table(Object.fromEntries(Object.keys(results[measured[0]]).map(row)));
}

async function figures(side) {
  const program = fileURLToPath(new URL('optee-run.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, side, String(seconds), handOff]);
  return JSON.parse(stdout);
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
