/**
 * The cost of tracing: the rate of invokes in the simulated world without listeners, with a recorder in memory, and
 * with a recorder into a file.
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

const pairs = 4000;
const callsPerSlice = 500;

/**
 * Short slices with and without the recorder alternate in either order, and each is compared with its neighbour: drift
 * and other load affect both, and disturbances of one slice are far from the median.
 */
async function measure(recorder) {
  const trace = new Trace(machineClock);
  const tee = await openTee({ trustedApplications: [incrementer], trace });
  const session = await tee.openContext().openSession(incrementer.uuid);
  const parameters = [value.inout(1, 2)];
  trace.attach(recorder);
  const slice = async (on) => {
    trace.on = on;
    const start = performance.now();
    for (let call = 0; call < callsPerSlice; call++) await session.invoke(1, parameters);
    return (performance.now() - start) / 1000;
  };
  const off = [];
  const on = [];
  const losses = [];
  for (let pair = -pairs / 5; pair < pairs; pair++) {
    const onFirst = pair % 2 === 0;
    const first = await slice(onFirst);
    const second = await slice(!onFirst);
    if (pair < 0) continue;
    const [without, recorded] = onFirst ? [second, first] : [first, second];
    off.push(without);
    on.push(recorded);
    losses.push(1 - without / recorded);
  }
  await tee.close();
  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  return {
    offPerSecond: Math.round(callsPerSlice / median(off)),
    onPerSecond: Math.round(callsPerSlice / median(on)),
    loss: median(losses),
  };
}

/**
 * @returns {Promise<{ memory: Cost, file: Cost }>} the cost of each recorder as `{ offPerSecond, onPerSecond, loss }`:
 * medians; loss is the lost part of the rate, 0..1. Each is measured in a thread of its own, because a program has one
 * recorder.
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
