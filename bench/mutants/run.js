/**
 * Applies one mutation at a time to the driver, the queue, the TEE subsystem and the supplicant, and prints which of
 * them the explorer or a named test detects. `npm run mutants [-- --json] [WORD]`: those whose description contains the
 * word, or all.
 *
 * A mutant of the driver is one changed module in a copy of the build. It is caught if its command reports `broken`,
 * which it must not report for the original driver, or if the command fails. A mutant of hand-off must be caught under
 * each of its three policies.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandOf, queueMutants } from '../explore-mutants.js';
import { DRIVER_MUTANTS } from './driver-mutants.js';
import { compiled, mutate } from './mutate.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const json = process.argv.includes('--json');
const [word = ''] = process.argv.slice(2).filter((each) => !each.startsWith('--'));
const limitMs = 600_000;

/** A copy of the build in which one module can be changed. It is located where Node finds the packages. */
class Build {
  constructor() {
    mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
    this.folder = mkdtempSync(join(ROOT, 'node_modules/.cache/mutant-'));
    cpSync(join(ROOT, 'dist'), join(this.folder, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(this.folder, 'package.json'));
  }

  /** @returns a function that restores the module. */
  change(mutant) {
    const source = join(ROOT, mutant.file);
    const module = join(this.folder, 'dist', relative(join(ROOT, 'src'), source)).replace(/\.ts$/, '.js');
    writeFileSync(module, compiled(mutate(readFileSync(source, 'utf8'), mutant, mutant.file)));
    return () => cpSync(join(ROOT, 'dist', relative(join(ROOT, 'src'), source)).replace(/\.ts$/, '.js'), module);
  }

  explore(command) {
    const args = ['explore', ...command.split(' '), '--workers', '1', '--first', '--expect', 'unbroken', '--json'];
    return run(process.execPath, [join(this.folder, 'dist/cli/main.js'), ...args], {});
  }

  remove() {
    rmSync(this.folder, { recursive: true });
  }
}

/** Run the test files on the sources, with one module changed. */
function test(mutant) {
  const source = join(ROOT, mutant.file);
  const code = mutate(readFileSync(source, 'utf8'), mutant, mutant.file);
  const env = { MUTANT_FILE: source, MUTANT_SOURCE: code };
  const config = join(ROOT, 'bench/mutants/vitest.config.js');
  return run('npx', ['vitest', 'run', '--config', config, '--maxWorkers=1', mutant.test], env);
}

function run(program, args, env) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => {
      out += data;
    });
    child.stderr.on('data', (data) => {
      err += data;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out, err });
    });
  });
}

/** Test files that fail without a mutant, or that do not exist, prove nothing. */
async function checkTests(files) {
  for (const file of files) {
    if (!existsSync(join(ROOT, file))) throw new Error(`there is no ${file}`);
    const { code, out } = await run('npx', ['vitest', 'run', '--maxWorkers=1', file], {});
    if (code !== 0) throw new Error(`without a mutant, ${file} fails:\n${out}`);
  }
}

/** How the command detected the mutant; undefined if it did not. */
function noticed({ code, out, err }) {
  if (code === 0) return undefined;
  try {
    const broken = Object.entries(JSON.parse(out).properties).filter(([, { verdict }]) => verdict === 'broken');
    if (broken.length > 0) return broken.map(([name]) => name).join(', ');
  } catch {
    // The command ended before its output.
  }
  const [what] = /^\w*(?:Error|Assertion).*$/m.exec(err) ?? ['did not end'];
  return `ends with: ${what}`;
}

async function driverMutant(build, mutant) {
  const restore = build.change(mutant);
  try {
    if (mutant.explore !== undefined) {
      const by = noticed(await build.explore(mutant.explore));
      if (by !== undefined) return { by, how: `normalworld explore ${mutant.explore}` };
    }
    if (mutant.test !== undefined && (await test(mutant)).code !== 0) return { by: 'a test', how: mutant.test };
    return undefined;
  } finally {
    restore();
  }
}

const results = [];
const say = (text) => {
  if (!json) console.log(text);
};
const note = (what, caught, explained) => {
  if (json && process.stderr.isTTY) process.stderr.write(`${results.length + 1} mutants\r`);
  results.push({ what, caught: caught !== undefined, ...caught, ...(explained === undefined ? {} : { explained }) });
  if (caught !== undefined) say(`caught  ${what}: ${caught.by}\n        ${caught.how}`);
  else
    say(
      `${explained === undefined ? 'ALIVE  ' : 'no fault'} ${what}${explained === undefined ? '' : `: ${explained}`}`,
    );
};

const driver = DRIVER_MUTANTS.filter(({ what }) => what.includes(word));
const builds = Array.from({ length: Math.min(availableParallelism(), driver.length) }, () => new Build());
try {
  // Properties that the original driver violates do not count.
  const commands = [...new Set(driver.flatMap(({ explore = [] }) => explore))];
  await shared(commands, async (build, command) => {
    const by = noticed(await build.explore(command));
    if (by !== undefined) throw new Error(`without a mutant, explore ${command} says: ${by}`);
  });
  await checkTests(new Set(driver.flatMap(({ test = [] }) => test)));
  await shared(driver, async (build, mutant) => {
    const caught = await driverMutant(build, mutant);
    note(mutant.what, caught, mutant.explained);
  });
} finally {
  for (const build of builds) build.remove();
}
for await (const { mutant, caught } of queueMutants(word)) {
  const ways = Object.entries(caught);
  const all = ways.every(([, how]) => how !== undefined);
  const [discipline, how] = ways[0];
  const by = all ? { by: how.property, how: `normalworld ${commandOf(discipline, how.configuration)}` } : undefined;
  note(`hand-off: ${mutant.what}`, by, mutant.explained);
}

const caught = results.filter((each) => each.caught).length;
const explained = results.filter((each) => each.explained !== undefined).length;
const total = results.length - explained;
if (json) console.log(JSON.stringify({ caught, total, explained, mutants: results }));
else say(`${caught} of ${total} mutants caught; ${explained} more are no faults`);
if (caught < total) process.exitCode = 1;

/** Distribute the work over several builds; each handles one item at a time. */
async function shared(work, make) {
  let next = 0;
  await Promise.all(
    builds.map(async (build) => {
      while (next < work.length) await make(build, work[next++]);
    }),
  );
}
