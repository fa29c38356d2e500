import { type OptionNames, requireKnownOptions } from '../known-options.js';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import type { TraceRecorder } from '../trace/trace.js';
import { ScenarioRun } from './run/scenario-run.js';
import type { Scenario } from './scenario.js';
import type { RunResult, ScenarioResult } from './scenario-result.js';
import { triedCures } from './tried-cures.js';

/** Options of `runScenario`. */
export interface RunScenarioOptions {
  /** The same seed gives the same run. An integer in 0..2^32-1. Default: 1. */
  readonly seed?: number;
  /** The disciplines to run under. Default: those of the scenario. */
  readonly queues?: readonly DisciplineName[];
  /** Called often during a run. */
  readonly onProgress?: (progress: Progress) => void;
  /** Returns the recorder for the run under a discipline. Called before the run's world is opened. */
  readonly record?: (queue: DisciplineName) => TraceRecorder;
  /**
   * After a failed run, try cures in further runs: a system session for the clients in the cycle of a deadlock that
   * have none; and, if relief calls of the driver slept, a reserved thread. Default: true.
   */
  readonly tryCures?: boolean;
}

const names: OptionNames<RunScenarioOptions> = {
  seed: true,
  queues: true,
  onProgress: true,
  record: true,
  tryCures: true,
};

/** Progress of a scenario; reported often. */
export interface Progress {
  readonly queue: DisciplineName;
  /** The number of this run, from 1. */
  readonly run: number;
  /** The number of runs: one per discipline. */
  readonly runs: number;
  /** Virtual milliseconds so far, and the limit. */
  readonly time: number;
  readonly limit: number;
  /** The number of calls that returned so far. */
  readonly calls: number;
}

/** All seeds are below this. */
export const seedLimit = 2 ** 32;

/**
 * Run a scenario under each discipline. Each run has a new simulated world, and virtual time.
 * @throws RangeError for an invalid seed; TypeError naming an unknown option.
 */
export async function runScenario(scenario: Scenario, options: RunScenarioOptions = {}): Promise<ScenarioResult> {
  requireKnownOptions('runScenario', options, names);
  const { seed = 1, queues = scenario.queues, onProgress, tryCures = true } = options;
  if (!Number.isInteger(seed) || seed < 0 || seed >= seedLimit)
    throw new RangeError(`seed ${seed} is not a whole number from 0 to ${seedLimit - 1}`);
  const runs: RunResult[] = [];
  for (const queue of queues) {
    const run = runs.length + 1;
    const report =
      onProgress &&
      ((time: number, calls: number) =>
        onProgress({ queue, run, runs: queues.length, time, limit: scenario.limit, calls }));
    runs.push(await runUnder(scenario, { queue, seed, tryCures }, report, options.record?.(queue)));
  }
  return { title: scenario.title, about: scenario.about, seed, runs };
}

interface One {
  readonly queue: DisciplineName;
  readonly seed: number;
  readonly tryCures: boolean;
}

async function runUnder(
  scenario: Scenario,
  { queue, seed, tryCures }: One,
  report?: (time: number, calls: number) => void,
  recorder?: TraceRecorder,
): Promise<RunResult> {
  const run = new ScenarioRun(scenario, queue, seed);
  run.trace.describe({ title: scenario.title });
  if (recorder !== undefined) run.trace.attach(recorder);
  const opened = await run.until(run.open());
  let end = opened;
  if (opened === 'stopped') {
    run.begin();
    end = await run.until(run.clients.work(), report);
  }
  const found = run.result(opened === 'stopped', end);
  const again = async (other: Scenario) => (await runUnder(other, { queue, seed, tryCures: false })).outcome;
  const cures = tryCures ? await triedCures(scenario, found, run.reliefSlept, again) : [];
  const result = { ...found, explanation: [...found.explanation, ...cures] };
  run.conclude(result);
  return result;
}
