import { machineClock, sleep } from '../clock/clock.js';
import { type OptionNames, requireKnownOptions } from '../known-options.js';
import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import { runScenario, seedLimit } from './run-scenario.js';
import type { Scenario } from './scenario.js';
import { OUTCOMES, type Outcome } from './scenario-result.js';

/** Options of `runSeeds`. */
export interface RunSeedsOptions {
  /** The first and the last seed: integers in 0..2^32-1. */
  readonly from: number;
  readonly to: number;
  /** The disciplines to run under. Default: those of the scenario. */
  readonly queues?: readonly DisciplineName[];
  /** Called after each seed, with the number of seeds done and of all seeds. */
  readonly onProgress?: (done: number, all: number) => void;
  /** Ends the runs early; the result then covers the runs so far. */
  readonly signal?: AbortSignal;
}

const names: OptionNames<RunSeedsOptions> = { from: true, to: true, queues: true, onProgress: true, signal: true };

/** The number of each outcome, and the first seed that led to it. */
export interface SeedsResult {
  readonly title: string;
  readonly from: number;
  readonly to: number;
  /** The number of seeds that were run; fewer than requested if it was ended early. */
  readonly seeds: number;
  readonly queues: readonly QueueSeeds[];
}

/** The outcomes under one discipline. */
export interface QueueSeeds {
  readonly queue: DisciplineName;
  readonly outcomes: Readonly<Record<Outcome, SeedCount>>;
}

/** The runs with one outcome. */
export interface SeedCount {
  /** The number of seeds with this outcome. */
  readonly count: number;
  /** The first seed with this outcome; null if there is none. */
  readonly firstSeed: number | null;
  /** The explanation of the run with that seed. */
  readonly explanation: readonly string[];
}

/**
 * Run a scenario once for each seed, under each discipline.
 * @throws RangeError for invalid seeds; TypeError naming an unknown option.
 */
export async function runSeeds(scenario: Scenario, options: RunSeedsOptions): Promise<SeedsResult> {
  requireKnownOptions('runSeeds', options, names);
  const { from, to, queues = scenario.queues, onProgress, signal } = options;
  if (![from, to].every((seed) => Number.isInteger(seed) && seed >= 0 && seed < seedLimit) || to < from)
    throw new RangeError(`seeds ${from}..${to}: whole numbers from 0 to ${seedLimit - 1}, the smaller first`);
  const counts = queues.map((queue) => ({ queue, outcomes: noCounts() }));
  let seeds = 0;
  for (let seed = from; seed <= to && signal?.aborted !== true; seed++) {
    const { runs } = await runScenario(scenario, { seed, queues, tryCures: false });
    runs.forEach(({ outcome, explanation }, index) => {
      const of = counts[index]?.outcomes;
      if (of === undefined) return;
      const { count, firstSeed } = of[outcome];
      of[outcome] =
        firstSeed === null ? { count: 1, firstSeed: seed, explanation } : { ...of[outcome], count: count + 1 };
    });
    seeds++;
    onProgress?.(seeds, to - from + 1);
    // Let timers and signals be handled between two runs.
    await sleep(machineClock, 0);
  }
  return { title: scenario.title, from, to, seeds, queues: counts };
}

function noCounts(): Record<Outcome, SeedCount> {
  const none: SeedCount = { count: 0, firstSeed: null, explanation: [] };
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, none])) as Record<Outcome, SeedCount>;
}
