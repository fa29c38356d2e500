import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import type { TraceRecorder } from '../trace/trace.js';
import { ScenarioRun } from './run/scenario-run.js';
import type { Scenario } from './scenario.js';
import type { RunResult, ScenarioResult } from './scenario-result.js';

export interface RunScenarioOptions {
  /** The same seed gives the same run. A whole number from 0 to 2^32-1; 1 when left out. */
  readonly seed?: number;
  /** Disciplines to run under; those of the scenario when left out. */
  readonly queues?: readonly DisciplineName[];
  readonly onProgress?: (progress: Progress) => void;
  /** What records the run under a discipline, from before its world is opened. */
  readonly record?: (queue: DisciplineName) => TraceRecorder;
}

/** How far a scenario has come; told often. */
export interface Progress {
  readonly queue: DisciplineName;
  /** Which run it is, from 1, of how many. */
  readonly run: number;
  readonly runs: number;
  /** Virtual milliseconds so far, and the most there can be. */
  readonly time: number;
  readonly limit: number;
  readonly calls: number;
}

/** Run a scenario under each discipline, each in a fresh simulated world, in virtual time. */
export async function runScenario(scenario: Scenario, options: RunScenarioOptions = {}): Promise<ScenarioResult> {
  const { seed = 1, queues = scenario.queues, onProgress } = options;
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff)
    throw new RangeError(`seed ${seed} is not a whole number from 0 to 4294967295`);
  const runs: RunResult[] = [];
  for (const queue of queues) {
    const run = runs.length + 1;
    const report =
      onProgress &&
      ((time: number, calls: number) =>
        onProgress({ queue, run, runs: queues.length, time, limit: scenario.limit, calls }));
    runs.push(await runUnder(scenario, queue, seed, report, options.record?.(queue)));
  }
  return { title: scenario.title, about: scenario.about, seed, runs };
}

async function runUnder(
  scenario: Scenario,
  queue: DisciplineName,
  seed: number,
  report: ((time: number, calls: number) => void) | undefined,
  recorder: TraceRecorder | undefined,
): Promise<RunResult> {
  const run = new ScenarioRun(scenario, queue, seed);
  run.trace.describe({ title: scenario.title });
  if (recorder !== undefined) run.trace.attach(recorder);
  const opened = await run.until(run.open());
  if (opened === 'stopped') {
    run.begin();
    return run.result(true, await run.until(run.clients.work(), report));
  }
  return run.result(false, opened);
}
