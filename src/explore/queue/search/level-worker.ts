import { parentPort } from 'node:worker_threads';
import { QueueModel } from '../model/queue-model.js';
import { CURSOR, SharedStateStore, TAKEN } from '../states/shared-state-store.js';
import { StateCodec } from '../states/state-codec.js';
import { NO_STATE } from '../states/state-store.js';
import { Expander } from './expander.js';
import { KnownSteps } from './known-steps.js';
import type { LevelDone, LevelTask } from './level-task.js';

/** The number of states that a worker takes at a time. */
const CHUNK = 256;

/** The objects that a worker keeps between levels. */
interface Kept {
  readonly model: QueueModel;
  readonly codec: StateCodec;
  readonly known: KnownSteps;
}

let kept: Kept | undefined;

function keep({ config, form }: LevelTask): Kept {
  const model = new QueueModel(config);
  const codec = new StateCodec(model, form);
  return { model, codec, known: new KnownSteps(codec) };
}

/** Expand states of a level, in parallel with the other workers, until none is left or the memory is full. */
parentPort?.on('message', (task: LevelTask) => {
  const { shared, end, depth, stopAt } = task;
  kept ??= keep(task);
  const { model, codec, known } = kept;
  const store = new SharedStateStore(shared);
  const expander = new Expander(model, codec, store, known);
  const control = new Uint32Array(shared.control);
  while (Atomics.load(control, TAKEN) < stopAt) {
    const from = Atomics.add(control, CURSOR, CHUNK);
    if (from >= end) break;
    const to = Math.min(from + CHUNK, end);
    for (let state = from; state < to; state++) expander.expand(state, depth);
    expander.flush();
  }
  const { transitions, breaches, occasions, looksFurther } = expander;
  const done: LevelDone = {
    transitions,
    breaches: [...breaches],
    occasions,
    looksFurther,
    spare: store.spare === NO_STATE ? null : store.spare,
    bytesKnown: known.bytes,
  };
  parentPort?.postMessage(done);
});
