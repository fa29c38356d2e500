/**
 * The explorer against SPIN on the same configurations of the upstream queue, one after the other: states per second
 * on one core without reduction (the counts must agree), and time to the verdict with everything each has.
 *
 * Needs `spin` and `gcc`. `node bench/spin.js [small]`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseCallers } from '../dist/explore/callers-notation.js';
import { explore } from '../dist/explore/explore.js';

const MODEL = fileURLToPath(new URL('./spin/linux-6.8.pml', import.meta.url));

/** Callers of normal and of system calls, calls of each, threads announced and real. */
const CONFIGURATIONS = [
  { callers: 4, normal: 3, calls: 1, threads: 2, secure: 1 },
  { callers: 5, normal: 3, calls: 1, threads: 2, secure: 2 },
  { callers: 4, normal: 2, calls: 3, threads: 3, secure: 2 },
  { callers: 5, normal: 3, calls: 2, threads: 2, secure: 2 },
];

/** @param {(typeof CONFIGURATIONS)[number]} configuration */
function spin({ callers, normal, calls, threads, secure }) {
  const folder = mkdtempSync(join(tmpdir(), 'spin-'));
  try {
    const defines = { CALLERS: callers, NORMAL: normal, CALLS: calls, THREADS: threads, SECURE: secure };
    const flags = Object.entries(defines).map(([name, value]) => `-D${name}=${value}`);
    execFileSync('spin', [...flags, '-a', MODEL], { cwd: folder });
    execFileSync('gcc', ['-O2', '-DSAFETY', '-DNOREDUCE', '-DMEMLIM=12000', '-o', 'pan', 'pan.c'], { cwd: folder });
    const start = performance.now();
    const output = execFileSync('./pan', ['-m1000000', '-w24', '-c0'], { cwd: folder, encoding: 'utf8' });
    const seconds = (performance.now() - start) / 1000;
    return { states: Number(/(\d+) states, stored/.exec(output)?.[1]), seconds };
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

const rows = [];
for (const configuration of process.argv[2] === 'small' ? CONFIGURATIONS.slice(0, 3) : CONFIGURATIONS) {
  const theirs = spin(configuration);
  const unreduced = await explore(modelConfig(configuration), { symmetric: false, workers: 1 });
  const reduced = await explore(modelConfig(configuration));
  rows.push({
    ...configuration,
    'SPIN states': theirs.states,
    'our states': unreduced.states,
    'SPIN s': theirs.seconds.toFixed(2),
    'ours, one core, unreduced, s': unreduced.seconds.toFixed(2),
    'speed in SPIN’s': (theirs.seconds / unreduced.seconds).toFixed(2),
    'reduced states': reduced.states,
    'reduced s': reduced.seconds.toFixed(2),
  });
  if (theirs.states !== unreduced.states) throw new Error(`state counts differ: ${theirs.states}, ${unreduced.states}`);
}
console.table(rows);
