import { parentPort } from 'node:worker_threads';
import { underDiscipline } from '../dist/explore/configurations.js';
import { explore } from '../dist/explore/explore.js';

/** Explores the configurations that it is sent, one after the other, and sends back what came out. */
parentPort.on('message', async ({ index, configuration, discipline, maxStates }) => {
  const exploration = await explore(underDiscipline(configuration, discipline), { maxStates, workers: 1 });
  const { states, seconds, bound, properties } = exploration;
  parentPort.postMessage({ index, states, seconds, bound, properties });
});
