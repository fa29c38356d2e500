import './browser/process.js';
import { followed } from '../../src/explore/driver/decisions.js';
import { type ExploreScenarioOptions, exploreScenario } from '../../src/explore/driver/explore-scenario.js';
import { RUN_PROPERTIES, RUN_PROPERTY_NAMES } from '../../src/explore/driver/properties/run-checks.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { runScenario } from '../../src/scenario/run-scenario.js';
import type { Scenario } from '../../src/scenario/scenario.js';
import { MemoryRecorder } from '../../src/trace/index.js';
import type { Answer, Task } from './messages.js';
import { stepsOf } from './steps.js';

const answer = (message: Answer, transfer: Transferable[] = []) => self.postMessage(message, { transfer });

self.addEventListener('message', ({ data }: MessageEvent<Task>) => {
  const { kind } = data;
  (kind === 'run' ? run(data) : explore(data)).catch((error: unknown) =>
    answer({ kind: 'failed', message: error instanceof Error ? error.message : String(error) }),
  );
});

/** The scenario with the sliders' values. */
function scenarioOf({ text, threads, clients }: Task): Scenario {
  const scenario = parseScenario(text, 'scenario');
  const { secureWorld } = scenario;
  return {
    ...scenario,
    secureWorld:
      threads === undefined
        ? secureWorld
        : { ...secureWorld, threads, announced: secureWorld.announced === 0 ? 0 : threads },
    clients:
      clients === undefined
        ? scenario.clients
        : new Map(
            Array.from(scenario.clients, ([name, client]) => [
              name,
              client.passive || client.kernel || client.application === undefined
                ? client
                : { ...client, count: clients },
            ]),
          ),
  };
}

async function run(task: Task): Promise<void> {
  const scenario = scenarioOf(task);
  const recorders = new Map<string, MemoryRecorder>();
  let told = 0;
  const result = await runScenario(scenario, {
    seed: task.seed,
    queues: task.queues,
    record(queue) {
      const recorder = new MemoryRecorder({ maxBytes: 2 ** 28 });
      recorders.set(queue, recorder);
      return recorder;
    },
    onProgress({ queue, time, calls }) {
      if (performance.now() < told + 100) return;
      told = performance.now();
      answer({ kind: 'progress', words: `${queue}: ${(time / 1000).toFixed(2)} s of virtual time, ${calls} calls` });
    },
  });
  const traces = Array.from(recorders, ([name, recorder]) => ({ name, bytes: Uint8Array.from(recorder.toBytes()) }));
  answer(
    { kind: 'ran', result, traces },
    traces.map(({ bytes }) => bytes.buffer),
  );
}

async function explore(task: Task): Promise<void> {
  const scenario = scenarioOf(task);
  const [queue] = task.queues;
  if (queue === undefined) throw new Error('choose a discipline to explore');
  const options: ExploreScenarioOptions = {
    queue,
    strategy: 'deviations',
    seed: task.seed,
    maxRuns: task.runs,
    reduce: true,
    progress: ({ runs, maxRuns, states }) =>
      answer({ kind: 'progress', words: `${runs} of at most ${maxRuns} runs, ${states} states` }),
  };
  const found = await exploreScenario(scenario, options);
  const broken = RUN_PROPERTY_NAMES.filter((name) => found.properties[name].verdict === 'broken');
  const words = [
    `${found.runs} ${found.runs === 1 ? 'run' : 'runs'} under ${queue} with the times of seed ${task.seed}: ` +
      (broken.length > 0
        ? `${broken.length} ${broken.length === 1 ? 'property is' : 'properties are'} broken.`
        : found.complete
          ? 'every order of these times was tried, and no property is broken. Other seeds were not tried.'
          : 'no property was found broken; not every order was tried.'),
  ];
  const [name] = broken;
  if (name === undefined) {
    answer({ kind: 'explored', words, counterexample: undefined });
    return;
  }
  const { what, decisions } = found.properties[name];
  const { steps, trace } = await stepsOf(scenario, queue, task.seed, followed(decisions));
  answer({ kind: 'explored', words, counterexample: { property: RUN_PROPERTIES[name], what, steps, trace } }, [
    trace.bytes.buffer,
  ]);
}
