/**
 * Compares the explorer with SPIN on the same configurations of the upstream queue: states per second on one core
 * without reduction (the numbers of states must agree), and the time to the verdict with all features of both.
 *
 * Needs `spin` and `gcc`. `node bench/spin.js [small]`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { explore } from '../dist/explore/queue/explore.js';
import { parseCallers } from '../dist/explore/queue/model/callers-notation.js';

const MODEL = fileURLToPath(new URL('./spin/linux-6.8.pml', import.meta.url));

/** Number of callers with normal and with system calls, calls of each, threads announced and real. */
const CONFIGURATIONS = [
  { callers: 4, normal: 3, calls: 1, threads: 2, secure: 1 },
  { callers: 5, normal: 3, calls: 1, threads: 2, secure: 2 },
  { callers: 4, normal: 2, calls: 3, threads: 3, secure: 2 },
  { callers: 5, normal: 3, calls: 2, threads: 2, secure: 2 },
];
/**
 * For `npm run bench`, on both sides of the explorer's sharing of steps between states: in the large configuration, of
 * 8,074,675 states, most states share a step; in the small one, of 851,599 states, five states do.
 */
const MEASURED = {
  large: { configuration: CONFIGURATIONS[2], rounds: 2 },
  small: { configuration: { callers: 4, normal: 2, calls: 2, threads: 3, secure: 2 }, rounds: 3 },
};

/**
 * Build SPIN's verifier and pass a function that runs it.
 * @template Result
 * @param {(typeof CONFIGURATIONS)[number]} configuration
 * @param {(verify: (slots: number) => { states: number, seconds: number, cpuSeconds: number, bytes: number }) =>
 * Result} use
 * `slots`: the logarithm of the size of its hash table.
 */
async function withSpin({ callers, normal, calls, threads, secure }, use) {
  const folder = mkdtempSync(join(tmpdir(), 'spin-'));
  try {
    const defines = { CALLERS: callers, NORMAL: normal, CALLS: calls, THREADS: threads, SECURE: secure };
    const flags = Object.entries(defines).map(([name, value]) => `-D${name}=${value}`);
    execFileSync('spin', [...flags, '-a', MODEL], { cwd: folder });
    execFileSync('gcc', ['-O2', '-DSAFETY', '-DNOREDUCE', '-DMEMLIM=12000', '-o', 'pan', 'pan.c'], { cwd: folder });
    return await use((slots) => {
      const start = performance.now();
      const output = execFileSync('sh', ['-c', `./pan -m1000000 -w${slots} -c0; times`], {
        cwd: folder,
        encoding: 'utf8',
      });
      const seconds = (performance.now() - start) / 1000;
      const states = Number(/(\d+) states, stored/.exec(output)?.[1]);
      const mebibytes = Number(/([\d.]+)\s+actual memory usage for states/.exec(output)?.[1]);
      // Output of the shell's `times`: user and system time of the shell, then of its children.
      const spent = [...(output.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
      const cpuSeconds = spent.reduce((sum, [, minutes, rest]) => sum + 60 * Number(minutes) + Number(rest), 0);
      return { states, seconds, cpuSeconds, bytes: mebibytes * 2 ** 20 };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {(typeof CONFIGURATIONS)[number]} configuration */
function modelConfig({ callers, normal, calls, threads, secure }) {
  const list = Array.from({ length: callers }, (_, i) => Array.from({ length: calls }, () => (i < normal ? 'N' : 'S')));
  return {
    discipline: 'linux-6.8',
    totalThreadCount: threads,
    secureThreads: secure,
    initialSystemSessions: 1,
    ...parseCallers(list.map((each) => each.join('+')).join(',')),
  };
}

/**
 * States per second of CPU time on one core without reduction, relative to SPIN, in alternating rounds; the best round
 * of each counts. Wall-clock time would depend on other load.
 * @param {keyof typeof MEASURED} size
 * @returns {Promise<{ states: number, ratioToSpin: number, statesPerSecond: number, bytesPerState: number,
 * spinBytesPerState: number } | { ratioToSpin: null, missing: string }>}
 */
export async function benchExplore(size) {
  const { configuration, rounds } = MEASURED[size];
  for (const program of ['spin', 'gcc'])
    if (spawnSync(program, ['-V']).error !== undefined) return { ratioToSpin: null, missing: program };
  return withSpin(configuration, async (verify) => {
    const theirs = [];
    const ours = [];
    let states = 0;
    let bytes = 0;
    let spinBytes = 0;
    for (let round = 0; round < rounds; round++) {
      const spin = verify(22);
      theirs.push(spin.cpuSeconds);
      const before = process.cpuUsage();
      const searched = await explore(modelConfig(configuration), { symmetric: false, workers: 1 });
      const { user, system } = process.cpuUsage(before);
      ours.push((user + system) / 1e6);
      if (searched.states !== spin.states) throw new Error(`SPIN has ${spin.states} states, we ${searched.states}`);
      ({ states, bytes } = searched);
      spinBytes = spin.bytes;
    }
    return {
      states,
      ratioToSpin: Math.min(...theirs) / Math.min(...ours),
      statesPerSecond: Math.round(states / Math.min(...ours)),
      bytesPerState: bytes / states,
      spinBytesPerState: spinBytes / states,
    };
  });
}

async function table() {
  const rows = [];
  for (const configuration of process.argv[2] === 'small' ? CONFIGURATIONS.slice(0, 3) : CONFIGURATIONS) {
    const theirs = await withSpin(configuration, (verify) => verify(24));
    const before = process.cpuUsage();
    const unreduced = await explore(modelConfig(configuration), { symmetric: false, workers: 1 });
    const { user, system } = process.cpuUsage(before);
    const reduced = await explore(modelConfig(configuration));
    rows.push({
      ...configuration,
      'SPIN states': theirs.states,
      'our states': unreduced.states,
      'SPIN s': theirs.seconds.toFixed(2),
      'ours, one core, unreduced, s': unreduced.seconds.toFixed(2),
      'of the processor': `${theirs.cpuSeconds.toFixed(2)} / ${((user + system) / 1e6).toFixed(2)}`,
      'speed in SPIN’s': (theirs.seconds / unreduced.seconds).toFixed(2),
      'octets a state': (unreduced.bytes / unreduced.states).toFixed(0),
      'reduced states': reduced.states,
      'reduced s': reduced.seconds.toFixed(2),
      'sooner than SPIN': (theirs.seconds / reduced.seconds).toFixed(2),
    });
    if (theirs.states !== unreduced.states)
      throw new Error(`state counts differ: ${theirs.states}, ${unreduced.states}`);
  }
  console.table(rows);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await table();
