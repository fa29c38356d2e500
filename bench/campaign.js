import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** Explores every configuration under every discipline on all cores, each with a limit on the number of states. */
export async function campaign(configurations, disciplines, { maxStates = 20_000_000, progress }) {
  const tasks = disciplines.flatMap((discipline) =>
    configurations.map((configuration) => ({ discipline, configuration })),
  );
  const results = [];
  let next = 0;
  let done = 0;
  let states = 0;

  const work = () =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./campaign-worker.js', import.meta.url));
      const send = () => {
        const task = tasks[next];
        if (task === undefined) worker.terminate().then(resolve, reject);
        else worker.postMessage({ index: next++, maxStates, ...task });
      };
      worker.on('error', reject);
      worker.on('message', ({ index, ...result }) => {
        results[index] = { ...tasks[index], ...result };
        states += result.states;
        progress(++done, tasks.length, states);
        send();
      });
      send();
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), tasks.length) }, work));
  return results;
}
