/**
 * `npm run bench:xtest [-- --runs N] [--table FILE] [--hand-off] [CASES]`: runs OP-TEE's own test suite, Debian's
 * unmodified binary, through normalworld and on Linux, on the same OP-TEE, QEMU and machine; with --hand-off also on
 * Linux with the hand-off queue. Compare only figures of one run.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals: cases } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '1' },
    table: { type: 'string' },
    'hand-off': { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const sides = ['normalworld', 'linux', ...(values['hand-off'] ? ['linuxHandOff'] : [])];
const say = (line) => process.stderr.write(`${line}\n`);

const all = Object.fromEntries(sides.map((side) => [side, []]));
for (let run = 1; run <= runs; run++)
  for (const side of sides) {
    say(`run ${run} of ${runs}: ${side}, load ${loadavg()[0].toFixed(1)} on ${cpus().length} processors`);
    all[side].push(await xtest(side));
  }

const rows = comparison();
const failed = sides.flatMap((side) => all[side].flatMap((run) => failures(side, run)));
const titles = { linux: 'Linux', linuxHandOff: 'Linux with hand-off', normalworld: 'normalworld' };
const columns = ['linux', ...sides.filter((side) => side !== 'linux')];
const others = columns.slice(1);
const markdown = `${[
  `| case | ${[...columns.map((side) => `${titles[side]}, s`), ...others.map((side) => `Linux / ${titles[side]}`)].join(' | ')} |`,
  `| --- |${' ---: |'.repeat(columns.length + others.length)}`,
  ...rows.map(({ name, ...of }) => {
    const figures = [
      ...columns.map((side) => (of[side] / 1000).toFixed(2)),
      ...others.map((side) => (of.linux / of[side]).toFixed(2)),
    ];
    return `| ${name} | ${figures.join(' | ')} |`;
  }),
].join('\n')}\n\n${[...sides.map(summary), ...failed].join('\n')}\n`;
console.log(markdown);
if (values.table !== undefined) writeFileSync(values.table, markdown);
process.exitCode = failed.length === 0 ? 0 : 1;

async function xtest(side) {
  const program = fileURLToPath(new URL('xtest-run.js', import.meta.url));
  const child = spawn(process.execPath, [program, side, ...cases], { stdio: ['ignore', 'pipe', 'inherit'] });
  const json = await text(child.stdout);
  if (json === '') throw new Error(`the run on ${side} ended without an outcome`);
  return JSON.parse(json);
}

/** The total first, then each case that all sides completed; medians of the runs. */
function comparison() {
  const of = (side, pick) => median(all[side].map(pick).filter((each) => each !== undefined));
  const row = (name, pick) => ({ name, ...Object.fromEntries(sides.map((side) => [side, of(side, pick)])) });
  const names = [...new Set(sides.flatMap((side) => all[side].flatMap((run) => run.cases.map(({ name }) => name))))];
  return [
    row('**the suite**', (run) => run.suiteMilliseconds),
    row('**with the boot**', (run) => run.milliseconds),
    row('**its processor time**', (run) => run.processorMilliseconds),
    ...names
      .map((name) => row(name, (run) => run.cases.find((each) => each.name === name)?.milliseconds))
      .filter((row) => sides.every((side) => row[side] !== undefined)),
  ];
}

function summary(side) {
  const [run] = all[side];
  const failedCases = run.cases.filter(({ ok }) => !ok).length;
  const { subtests = 'no', failedSubtests = 'no' } = run.counts ?? {};
  return `${side}: ${run.cases.length} cases, ${failedCases} failed; ${subtests} subtests, ${failedSubtests} failed.  `;
}

function failures(side, { cases: ended, exitCode, unfinished }) {
  const lines = ended.filter(({ ok }) => !ok).map(({ name, firstError }) => `${side}: ${name} failed: ${firstError}  `);
  if (unfinished !== undefined) lines.push(`${side}: xtest ended in ${unfinished}  `);
  if (exitCode !== 0 && lines.length === 0) lines.push(`${side}: xtest ended with ${exitCode}  `);
  return lines;
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
