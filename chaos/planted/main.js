/**
 * `npm run chaos:planted -- [--seconds N] [--seed N] [NAME ...]`: plants one defect at a time into the built product,
 * in a process of its own, and runs the chaos tests for at most N seconds each. Prints the table of
 * docs/reliability.md; exit code 1 if a defect was not caught.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { defects } from './defects.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '120' }, seed: { type: 'string', default: '1' } },
});
const unknown = positionals.filter((name) => !defects.some((each) => each.name === name));
if (!(Number(values.seconds) > 0) || !Number.isInteger(Number(values.seed)) || unknown.length > 0) {
  console.error(
    `usage: npm run chaos:planted -- [--seconds N] [--seed N] [NAME ...], of ${defects.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}
const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const wanted = positionals.length === 0 ? defects : defects.filter(({ name }) => positionals.includes(name));

/** One run of the chaos tests: its findings, duration and exit code. */
async function chaos(name) {
  const planted = name === undefined ? [] : ['--import', here('./plant.js')];
  const args = ['--seconds', values.seconds, '--seed', values.seed, '--world', 'simulated', '--quiet'];
  const begun = performance.now();
  const child = spawn(process.execPath, ['--expose-gc', ...planted, here('../main.js'), ...args], {
    env: { ...process.env, PLANTED: name },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let told = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    told += text;
  });
  const [code, signal] = await once(child, 'close');
  // After a finding the round continues, and may wait for a long time for events that do not come.
  const [, seconds = (performance.now() - begun) / 1000, first = told.trim()] =
    /^first finding, after (\d+) s: (.*)$/m.exec(told) ?? [];
  return { code: code ?? signal, seconds: Number(seconds), first };
}

let missed = 0;
console.log('| planted | caught after | by |\n| --- | --- | --- |');
for (const { name, what } of wanted) {
  const { code, seconds, first } = await chaos(name);
  // A crash of the process also counts as caught; a defect that could not be planted does not.
  const caught = code !== 0 && code !== 2 && code !== 3;
  if (!caught) missed++;
  const by = caught ? first.split('\n')[0].slice(0, 160).replaceAll('|', '\\|') : code === 0 ? '' : first;
  console.log(`| ${what} (\`${name}\`) | ${caught ? `${seconds.toFixed(0)} s` : 'not caught'} | ${by} |`);
}
process.exitCode = missed > 0 ? 1 : 0;
