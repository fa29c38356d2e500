/**
 * What the trace costs: the rate of invokes in the simulated world with nobody listening, recorded in memory, and
 * recorded into a file.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { machineClock } from '../dist/clock/clock.js';
import { openTee, Trace, value } from '../dist/index.js';
import { MemoryRecorder } from '../dist/trace/index.js';
import { TraceFile } from '../dist/trace/node/index.js';
import { incrementer } from './invoke.js';

const slices = 500;
const callsPerSlice = 2000;

/** Slices with and without the recorder take turns, so that a machine that drifts does so for both. */
async function measure(recorder) {
  const trace = new Trace(machineClock);
  const tee = await openTee({ trustedApplications: [incrementer], trace });
  const session = await tee.openContext().openSession(incrementer.uuid);
  const parameters = [value.inout(1, 2)];
  const slice = async () => {
    const start = performance.now();
    for (let call = 0; call < callsPerSlice; call++) await session.invoke(1, parameters);
    return (performance.now() - start) / 1000;
  };
  const off = [];
  const on = [];
  for (let round = -slices / 5; round < slices; round++) {
    const seconds = await slice();
    const detach = trace.attach(recorder);
    const recorded = await slice();
    detach();
    if (round < 0) continue;
    off.push(seconds);
    on.push(recorded);
  }
  await tee.close();
  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  return {
    offPerSecond: Math.round(callsPerSlice / median(off)),
    onPerSecond: Math.round(callsPerSlice / median(on)),
    loss: 1 - median(off) / median(on),
  };
}

/**
 * @returns {Promise<{ memory: Cost, file: Cost }>} what each recorder costs, as
 *   `{ offPerSecond, onPerSecond, loss }`: medians of slices; the loss is the part of the rate that is gone, 0..1. Each
 *   is measured in a thread of its own, as a program has one recorder.
 */
export async function benchTrace() {
  const costs = {};
  for (const recorder of ['memory', 'file']) {
    costs[recorder] = await new Promise((resolve, reject) => {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: recorder });
      worker.once('message', resolve).once('error', reject);
    });
  }
  return costs;
}

if (!isMainThread) {
  if (workerData === 'memory') parentPort.postMessage(await measure(new MemoryRecorder()));
  else {
    const folder = mkdtempSync(join(tmpdir(), 'normalworld-bench-'));
    const file = new TraceFile(join(folder, 'bench.nwt'));
    parentPort.postMessage(await measure(file));
    file.close();
    rmSync(folder, { recursive: true });
  }
} else if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await benchTrace());
