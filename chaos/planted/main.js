/**
 * `npm run chaos:planted -- [--seconds N] [--seed N] [NAME ...]`: plants one defect after the other into the built product, in a process
 * of its own, and has chaos look for it, for so long at most. Prints the table of docs/reliability.md; exit code 1 when one was
 * not caught.
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

/** One run of chaos; its findings, how long it took, and its exit code. */
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
  // The round goes on to its end, and may wait there for long for what will not come any more.
  const [, seconds = (performance.now() - begun) / 1000, first = told.trim()] =
    /^first finding, after (\d+) s: (.*)$/m.exec(told) ?? [];
  return { code: code ?? signal, seconds: Number(seconds), first };
}

let missed = 0;
console.log('| planted | caught after | by |\n| --- | --- | --- |');
for (const { name, what } of wanted) {
  const { code, seconds, first } = await chaos(name);
  // What ends the process is caught as well; what could not be planted is not.
  const caught = code !== 0 && code !== 2 && code !== 3;
  if (!caught) missed++;
  const by = caught ? first.split('\n')[0].slice(0, 160).replaceAll('|', '\\|') : code === 0 ? '' : first;
  console.log(`| ${what} (\`${name}\`) | ${caught ? `${seconds.toFixed(0)} s` : 'not caught'} | ${by} |`);
}
process.exitCode = missed > 0 ? 1 : 0;
