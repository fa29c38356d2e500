/**
 * `npm run bench:optee [-- --json] [--runs N] [--seconds N]`: normalworld's driver and Linux's, each booted anew in turn on
 * the same OP-TEE, QEMU and machine, medians of the runs; beside them normalworld on a newer OP-TEE, by SMCs (`sid`) and by FF-A
 * (`ffa`), when those are there. Compare figures of one run; machines drift.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { prepareFigures } from './linux/figures.js';
import { opteeOf, ownSides } from './optee-sides.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
  },
});
const runs = Number(values.runs);
const seconds = Number(values.seconds);
const say = (text) => process.stderr.write(`${text}\n`);

await prepareFigures(say, seconds);
const sides = ['linux'];
for (const [side, { how }] of Object.entries(ownSides))
  if ((await opteeOf(side)) === undefined) say(`without ${side}: ${how}`);
  else sides.push(side);
const all = Object.fromEntries(sides.map((side) => [side, []]));
for (let run = 1; run <= runs; run++)
  for (const side of sides) {
    say(`run ${run} of ${runs}: ${side === 'linux' ? 'Linux' : side}`);
    all[side].push(await figures(side));
  }

const { linux, normalworld, ...others } = Object.fromEntries(sides.map((side) => [side, medians(all[side])]));
if (values.json) {
  console.log(JSON.stringify({ runs, linux, normalworld, ...others }));
} else {
  const ratio = (key) => (key.endsWith('Ms') ? linux[key] / normalworld[key] : normalworld[key] / linux[key]);
  console.table(
    Object.fromEntries(
      Object.keys(normalworld).map((key) => [
        key,
        {
          ...{ linux: round(linux[key]), normalworld: round(normalworld[key]), 'times better': round(ratio(key)) },
          ...Object.fromEntries(Object.entries(others).map(([side, figures]) => [side, round(figures[key])])),
        },
      ]),
    ),
  );
}

async function figures(side) {
  const program = fileURLToPath(new URL('optee-run.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, side, String(seconds)]);
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
