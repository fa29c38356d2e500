/**
 * `npm run fuzz:planted -- [--executions N] [--seed N] [--undescribed] [--json] [NAME...]`: plants one defect at a time and runs the
 * fuzzer until it finds it, for at most N executions. Prints the table of docs/fuzzing.md; exit code 1 if a defect was
 * not found, 2 for bad usage.
 *
 * A defect of a trusted application is built into it with the TA dev kit, and searched for on the real OP-TEE. A
 * defect of the simulated secure world is a changed module in a copy of the build. A run without any defect comes first
 * and must find nothing. With --undescribed, the fuzzer is not told the commands of the trusted application.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildTa, findKit } from '../../dist/ta/index.js';
import { compiled, mutate } from '../mutants/mutate.js';
import { defects, ledger } from './defects.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    executions: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    undescribed: { type: 'boolean' },
    json: { type: 'boolean' },
  },
});
const unknown = positionals.filter((name) => !defects.some((each) => each.name === name));
if (!(Number(values.executions) > 0) || !/^\d+$/.test(values.seed) || unknown.length > 0) {
  const names = defects.map(({ name }) => name).join(', ');
  console.error(
    `usage: npm run fuzz:planted -- [--executions N] [--seed N] [--undescribed] [--json] [NAME...], of ${names}`,
  );
  process.exit(2);
}
const wanted = positionals.length === 0 ? defects : defects.filter(({ name }) => positionals.includes(name));

// Node finds the packages from here.
mkdirSync(join(root, 'node_modules/.cache'), { recursive: true });
const scratch = mkdtempSync(join(root, 'node_modules/.cache/planted-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** Run the fuzzer until there is a finding of one of these kinds, or the executions are used up. */
async function fuzz(main, args, kinds, executions) {
  const folder = mkdtempSync(join(scratch, 'run-'));
  for (let done = 0; ; ) {
    const run = await oneRun(main, args, folder, executions - done);
    done = run.executions;
    if (run.executions >= executions || run.found.some(({ kind }) => kinds.includes(kind))) return run;
  }
}

/** One run; it continues the last one in the folder. */
async function oneRun(main, args, folder, executions) {
  const limits = ['--execs', String(executions), '--seed', values.seed, '--folder', folder];
  const child = spawn(process.execPath, [main, 'fuzz', ...args, ...limits, '--first', '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  await once(child, 'close');
  if (out === '') throw new Error(`the fuzzer did not run: ${err}`);
  const progress = JSON.parse(out);
  const found = readdirSync(join(folder, 'findings')).map((name) =>
    JSON.parse(readFileSync(join(folder, 'findings', name, 'finding.json'), 'utf8')),
  );
  return { ...progress, found };
}

const mainOf = (dist) => join(dist, 'cli/main.js');

async function onOptee({ number, kinds }, executions) {
  const into = join(scratch, `ledger-${number}`);
  const kit = await findKit(undefined);
  const sources = { name: 'ledger', folder: fileURLToPath(new URL('ledger', import.meta.url)) };
  await buildTa(sources, { kit, into, variables: [`DEFECT=${number}`] });
  const described = values.undescribed ? [] : ['--commands', join(sources.folder, 'commands.yaml')];
  const args = ['ta', ledger, '--ta', join(into, 'ta'), ...described];
  return fuzz(mainOf(join(root, 'dist')), args, kinds, executions);
}

async function onSimulated(defect, executions) {
  let dist = join(root, 'dist');
  if (defect !== undefined) {
    const copy = join(scratch, defect.name);
    cpSync(dist, join(copy, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(copy, 'package.json'));
    dist = join(copy, 'dist');
    const source = join(root, defect.file);
    const module = join(dist, relative(join(root, 'src'), source)).replace(/\.ts$/, '.js');
    writeFileSync(module, compiled(mutate(readFileSync(source, 'utf8'), defect, defect.file)));
  }
  return fuzz(mainOf(dist), ['message', '--simulated'], defect?.kinds ?? [], executions);
}

const isTa = ({ number }) => number !== undefined;
const rows = [];
const say = (text) => {
  if (!values.json) console.log(text);
};
const executions = Number(values.executions);
// Findings without a planted defect would invalidate the result.
const clean = [
  ...(wanted.some(isTa)
    ? [['TA: no defect', await onOptee({ number: 0, kinds: [] }, Math.min(executions, 1000))]]
    : []),
  ...(wanted.every(isTa) ? [] : [['simulated: no defect', await onSimulated(undefined, executions)]]),
];
for (const [what, { found }] of clean)
  if (found.length > 0) throw new Error(`${what}, and yet: ${found.map(({ signature }) => signature).join('; ')}`);

say('| planted | found as | after executions | seconds | the shortest input, steps | came again |');
say('| --- | --- | --- | --- | --- | --- |');
for (const [what, run] of clean)
  say(`| ${what} | nothing, as it must | ${run.executions} | ${run.seconds.toFixed(0)} | | |`);
for (const defect of wanted) {
  const run = isTa(defect) ? await onOptee(defect, executions) : await onSimulated(defect, executions);
  const finding = run.found.find(({ kind }) => defect.kinds.includes(kind));
  const { name, what } = defect;
  const { executions: made, seconds } = run;
  rows.push({
    name,
    what,
    found: finding?.kind ?? null,
    executions: made,
    seconds,
    signature: finding?.signature ?? null,
  });
  const { times, tries } = finding?.came ?? { times: 0, tries: 0 };
  const cells = finding === undefined ? ['not found', made] : [`\`${finding.kind}\``, made];
  const last = finding === undefined ? ['', ''] : [finding.steps.length, `${times} of ${tries}`];
  say(`| ${[`${what} (\`${name}\`)`, ...cells, seconds.toFixed(0), ...last].join(' | ')} |`);
}
if (values.json) console.log(JSON.stringify(rows));
if (rows.some(({ found }) => found === null)) process.exitCode = 1;
