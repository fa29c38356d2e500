/**
 * `node bench/export.js [--runs N]`: processor time and size of `normalworld trace export` for a trace of a million
 * events, with the start of the program; medians.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { millionEvents } from './million-events.js';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '5' } } });
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'normalworld-bench-'));
const trace = join(folder, 'million.nwt');
const { bytes, events } = millionEvents();
writeFileSync(trace, bytes);
// The program tells its processor time, which other programs do not change, when it ends.
const timed = `process.on('exit', () => console.error(JSON.stringify(process.cpuUsage())));`;
const rows = ['perfetto', 'chrome'].map((format) => {
  const out = join(folder, format);
  const times = Array.from({ length: Number(values.runs) }, () => {
    const args = ['--import', `data:text/javascript,${timed}`, main, 'trace', 'export', trace, '-f', format, '-o', out];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    const { user, system } = JSON.parse(stderr);
    return (user + system) / 1e6;
  }).sort((one, other) => one - other);
  const cpuSeconds = times[Math.floor(times.length / 2)];
  return { format, cpuSeconds: Number(cpuSeconds.toFixed(2)), MiB: Math.round(statSync(out).size / 2 ** 20) };
});
rmSync(folder, { recursive: true });
console.log(`${events} events`);
console.table(rows);
