import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import type { Configuration } from './configurations.js';
import type { Exploration } from './explore.js';

/** One configuration to explore under one discipline. */
export interface CampaignTask {
  readonly index: number;
  readonly configuration: Configuration;
  readonly discipline: DisciplineName;
  readonly maxStates: number;
}

export interface CampaignResult extends Pick<Exploration, 'states' | 'seconds' | 'bound' | 'properties'> {
  readonly configuration: Configuration;
  readonly discipline: DisciplineName;
}

export interface CampaignOptions {
  /** Worker threads (default: one a core). */
  readonly workers?: number;
  /** Bound of states of one exploration. */
  readonly maxStates?: number;
  readonly progress?: (done: number, of: number, states: number) => void;
}

/** Explores every configuration under every discipline, on all cores. */
export async function campaign(
  configurations: readonly Configuration[],
  disciplines: readonly DisciplineName[],
  { workers = availableParallelism(), maxStates = 20_000_000, progress }: CampaignOptions = {},
): Promise<CampaignResult[]> {
  const tasks = disciplines.flatMap((discipline) =>
    configurations.map((configuration) => ({ discipline, configuration })),
  );
  const results: CampaignResult[] = [];
  let next = 0;
  let done = 0;
  let states = 0;

  const work = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL('./campaign-worker.js', import.meta.url));
      const send = () => {
        const task = tasks[next];
        if (task === undefined) {
          worker.terminate().then(() => resolve(), reject);
          return;
        }
        worker.postMessage({ index: next++, maxStates, ...task } satisfies CampaignTask);
      };
      worker.on('error', reject);
      worker.on('message', ({ index, ...result }) => {
        const task = tasks[index];
        if (task !== undefined) results[index] = { ...task, ...result };
        states += result.states;
        progress?.(++done, tasks.length, states);
        send();
      });
      send();
    });
  await Promise.all(Array.from({ length: Math.min(workers, tasks.length) }, work));
  return results;
}
