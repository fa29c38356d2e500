/**
 * `npm run linux:findings [-- --kernel 6.12]... [--finding ID]... [--queue stock|hand-off]... [--traces DIR] [--table
 * FILE]
 * [--json]`: boots Debian's arm64 kernels on our monitor with the real OP-TEE, and executes the schedule of each
 * finding with the kernel's own call queue and with the hand-off queue, with one boot for each.
 *
 * Exit codes: 0 all results are as in docs/findings.md; 1 a kernel's own queue does not show a finding, or hand-off
 * shows one that it should not; 2 something is missing.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildModules } from '../kernel/modules.js';
import { fetchKernel, kernelVersions } from '../kernel/packages.js';
import { findings, notShown } from './findings.js';
import { runSchedule } from './run-schedule.js';

const queues = ['stock', 'hand-off'];
const { values } = parseArgs({
  options: {
    kernel: { type: 'string', multiple: true, default: kernelVersions },
    finding: { type: 'string', multiple: true, default: findings.map(({ id }) => id) },
    queue: { type: 'string', multiple: true, default: queues },
    traces: { type: 'string' },
    table: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const say = (text) => process.stderr.write(`${text}\n`);
const chosen = (what, given, known) => {
  for (const each of given)
    if (!known.includes(each)) throw new Error(`no ${what} "${each}"; allowed: ${known.join(', ')}`);
  return known.filter((each) => given.includes(each));
};

try {
  process.exitCode = await showFindings();
} catch (error) {
  say(`linux:findings: ${error.message}`);
  process.exitCode = 2;
}

/** @returns {Promise<number>} the exit code. */
async function showFindings() {
  const wanted = chosen(
    'finding',
    values.finding,
    findings.map(({ id }) => id),
  );
  const versions = chosen('kernel', values.kernel, kernelVersions);
  const kernels = [];
  for (const version of versions) {
    const kernel = await fetchKernel(version, say);
    const modules = await buildModules(kernel, say);
    const shown = [];
    for (const queue of chosen('queue', values.queue, queues))
      for (const finding of findings.filter(({ id }) => wanted.includes(id)))
        shown.push(await showFinding({ kernel, modules, queue, finding }));
    kernels.push({ version, release: kernel.release, findings: shown });
  }
  if (values.table !== undefined) writeFileSync(values.table, table(kernels));
  if (values.json) console.log(JSON.stringify({ kernels, notShown: notShown.map(([id, why]) => ({ id, why })) }));
  else for (const [id, why] of notShown) console.log(`not shown: ${id}: ${why}`);
  return kernels.every((kernel) => kernel.findings.every(({ shown, expected }) => shown === expected)) ? 0 : 1;
}

/** The findings and the results of each kernel with either queue, as Markdown. */
function table(kernels) {
  const columns = kernels.flatMap(({ release, findings: of }) =>
    [false, true]
      .filter((handOff) => of.some((each) => each.handOff === handOff))
      .map((handOff) => ({
        title: `${release}${handOff ? ', hand-off' : ''}`,
        cell: (id) => {
          const found = of.find((each) => each.id === id && each.handOff === handOff);
          return found === undefined ? '' : `${found.shown ? '**shown**' : 'no'}: ${found.measure}`;
        },
      })),
  );
  const ids = findings.filter(({ id }) => kernels.some((kernel) => kernel.findings.some((each) => each.id === id)));
  return `${[
    `| finding | ${columns.map(({ title }) => title).join(' | ')} |`,
    `| --- |${' --- |'.repeat(columns.length)}`,
    ...ids.map(({ id, title }) => `| ${id}: ${title} | ${columns.map(({ cell }) => cell(id)).join(' | ')} |`),
  ].join('\n')}\n`;
}

async function showFinding({ kernel, modules, queue, finding }) {
  const handOff = queue === 'hand-off';
  const run = await runSchedule({
    ...{ kernel: kernel.version, client: modules.client, schedule: finding.schedule, say },
    ...(handOff ? { optee: modules.optee } : {}),
  });
  const { shown, measure } = finding.judge(run);
  const expected = !(handOff && finding.cured);
  const mark =
    shown === expected ? '' : expected ? '  NOT AS EXPECTED: it should have been shown' : '  NOT AS EXPECTED';
  const line = `Linux ${kernel.release}, ${queue}: ${finding.id} ${shown ? 'shown' : 'not there'}: ${finding.title}: ${measure}${mark}`;
  if (values.json) say(line);
  else console.log(line);
  if (values.traces !== undefined && run.trace.length > 0) {
    mkdirSync(values.traces, { recursive: true });
    writeFileSync(
      join(values.traces, `linux-${kernel.version}-${queue}-${finding.id}.txt`),
      `${run.trace.join('\n')}\n`,
    );
  }
  return { id: finding.id, title: finding.title, handOff, shown, expected, measure };
}
