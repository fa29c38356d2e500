import { parentPort } from 'node:worker_threads';
import { explore } from '../dist/explore/queue/explore.js';
import { underDiscipline } from '../dist/explore/queue/model/configurations.js';

/** Explores the configurations that it receives, one after the other, and sends back the results. */
parentPort.on('message', async ({ index, configuration, discipline, maxStates }) => {
  const exploration = await explore(underDiscipline(configuration, discipline), { maxStates, workers: 1 });
  const { states, seconds, bound, properties } = exploration;
  parentPort.postMessage({ index, states, seconds, bound, properties });
});
