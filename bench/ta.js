/**
 * `npm run bench:ta [-- --json] [--edits N] [--keep]`: measures the development of a trusted application: the time from
 * an empty folder to a passing test on the real OP-TEE, then from an edit to its verdict under `ta watch`. Downloads of
 * npm and `optee fetch` are not to be measured, so packages should be cached; the first run may take longer.
 *
 * Exit codes: 0 both limits are met, 1 one is not.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

/** Limits in seconds. */
const bars = { first: 60, edit: 3 };
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    edits: { type: 'string', default: '7' },
    keep: { type: 'boolean', default: false },
  },
});
const edits = Number(values.edits);
if (!Number.isInteger(edits) || edits < 1) throw new RangeError(`--edits is ${values.edits}, expected a number from 1`);
const command = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'normalworld-bench-'));
const folder = join(root, 'adder');
const load = loadavg()[0];

try {
  const steps = [
    await timed('normalworld optee fetch', root, process.execPath, command, 'optee', 'fetch'),
    await timed('normalworld ta new adder', root, process.execPath, command, 'ta', 'new', 'adder'),
    await timed('npm install', folder, 'npm', 'install', '--no-audit', '--no-fund'),
    await timed('npm test', folder, 'npm', 'test'),
  ];
  const first = steps.reduce((sum, { seconds }) => sum + seconds, 0);
  const times = await watched();
  const edit = median(times.map(({ seconds }) => seconds));
  const processor = median(times.map(({ processor }) => processor));
  const holds = { first: first < bars.first, edit: edit < bars.edit };
  if (!holds.first || !holds.edit) process.exitCode = 1;
  if (values.json)
    console.log(
      JSON.stringify({ load, cores: availableParallelism(), steps, first, edits: times, edit, processor, holds }),
    );
  else {
    const rows = [
      ...steps.map(({ what, seconds }) => [`\`${what}\``, seconds]),
      [`from an empty folder to a green test (bar: ${bars.first} s)`, first],
      [`from an edit to its test result, \`npm run watch\`, median of ${edits} (bar: ${bars.edit} s)`, edit],
      ['the slowest of them', Math.max(...times.map(({ seconds }) => seconds))],
      ['processor time for one such cycle, all processes, median', processor],
    ];
    console.log('| what | seconds |\n| --- | --- |');
    for (const [what, seconds] of rows) console.log(`| ${what} | ${seconds.toFixed(1)} |`);
    console.log(
      `\n${availableParallelism()} cores, a load of ${load.toFixed(1)} before, Node.js ${process.versions.node}`,
    );
  }
} finally {
  if (values.keep) console.error(`kept: ${folder}`);
  else rmSync(root, { recursive: true, force: true });
}

async function timed(what, cwd, program, ...args) {
  const started = performance.now();
  const { stdout } = await promisify(execFile)(program, args, { cwd, maxBuffer: 1 << 26 });
  if (what === 'npm test' && !/8 passed/.test(stdout)) throw new Error(`no green test:\n${stdout}`);
  return { what, seconds: (performance.now() - started) / 1000 };
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/**
 * CPU time of a process and of the children that it has waited for, proc(5); on a loaded machine it is more meaningful
 * than wall-clock time.
 */
function processorSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return ticks / 100;
}

/** The time from writing a source file to the end of the test run, for edits that alternately break and fix a test. */
async function watched() {
  const child = spawn(process.execPath, [command, 'ta', 'watch'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let told = () => {};
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      said += chunk;
      told();
    });
  let over = false;
  const ended = new Promise((resolve) => child.once('exit', resolve)).then(() => {
    over = true;
    told();
  });
  const hears = async (what) => {
    while (!what.test(said)) {
      if (over) throw new Error(said);
      await new Promise((resolve) => {
        told = resolve;
      });
    }
    said = '';
  };
  try {
    await hears(/watching/);
    const source = join(folder, 'ta/adder_ta.c');
    const good = readFileSync(source, 'utf8');
    const times = [];
    for (let edit = 0; edit < edits; edit++) {
      const breaks = edit % 2 === 0;
      const before = processorSeconds(child.pid);
      const started = performance.now();
      writeFileSync(source, breaks ? good.replace('.value.a = sum;', `.value.a = sum + ${edit + 1};`) : good);
      await hears(breaks ? /1 failed[\s\S]*to the result/ : /8 passed[\s\S]*to the result/);
      times.push({ seconds: (performance.now() - started) / 1000, processor: processorSeconds(child.pid) - before });
    }
    return times;
  } finally {
    child.kill('SIGINT');
    await ended;
  }
}
