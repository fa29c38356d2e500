import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import type { CreateCallQueue } from '../../optee/call-queue/disciplines.js';
import type { Scenario } from '../../scenario/scenario.js';
import { reserveMayHelp } from '../../scenario/tried-cures.js';
import { type Decision, followed } from './decisions.js';
import type { FaultSettings } from './fault-choices.js';
import { RUN_PROPERTY_NAMES, type RunProperty } from './properties/run-checks.js';
import { type JudgedRun, judgeRun, noFaults } from './runs/judge-run.js';
import { RunMaker, type RunSettings } from './runs/run-maker.js';
import { ByLot, Deviations, type RunTask } from './runs/run-source.js';
import { RunWorkers } from './runs/run-workers.js';
import type { Reduction } from './states/reduction.js';

/** In which order runs are tried. */
export type Strategy =
  /** All runs with one deviation from first come, first served, then all with two, and so on. */
  'deviations' | 'random' | 'priorities';

export interface ExploreScenarioOptions {
  readonly queue: DisciplineName;
  readonly strategy: Strategy;
  /** Draws the times of the scenario, and the runs of a strategy by lot. */
  readonly seed: number;
  readonly maxRuns: number;
  readonly maxSeconds?: number;
  /** Of memory of the process. */
  readonly maxMiB?: number;
  /** For `deviations`: the most in one run. */
  readonly maxDeviations?: number;
  /** For `priorities`: how many orderings a defect needs. */
  readonly orderings?: number;
  /** For `deviations`: end a run where another was in the same state; true when left out. */
  readonly reduce?: boolean;
  /** Go on when not everybody came through in a run, until every property is broken or every run made. */
  readonly goOn?: boolean;
  /** Stop at the first property that is broken, and leave its run as it was found. */
  readonly first?: boolean;
  /** Worker threads for an exploration that is not short; 1 when left out: none. */
  readonly workers?: number;
  /** Makes the call queue, when it is not to be the discipline's own; then there are no workers. */
  readonly createQueue?: CreateCallQueue;
  /** Which faults may strike; none when left out. */
  readonly faults?: FaultSettings;
  /**
   * When not everybody came through and calls of the driver's own slept, try whether everybody would with a thread kept for them;
   * true when left out.
   */
  readonly tryCures?: boolean;
  /** Asked of each property that is broken: whether its counterexample is to be made smaller; every one when left out. */
  readonly shrink?: (property: RunProperty) => Promise<boolean>;
  readonly signal?: AbortSignal;
  readonly progress?: (progress: ScenarioProgress) => void;
}

const names: OptionNames<ExploreScenarioOptions> = {
  queue: true,
  strategy: true,
  seed: true,
  maxRuns: true,
  maxSeconds: true,
  maxMiB: true,
  maxDeviations: true,
  orderings: true,
  reduce: true,
  goOn: true,
  first: true,
  workers: true,
  createQueue: true,
  faults: true,
  tryCures: true,
  shrink: true,
  signal: true,
  progress: true,
};

export interface ScenarioProgress {
  readonly runs: number;
  readonly maxRuns: number;
  readonly seconds: number;
  /** For `deviations`: runs known but not yet made. */
  readonly waiting: number;
  /** Different states so far. */
  readonly states: number;
  /** Memory of the process. */
  readonly mebibytes: number;
  readonly broken: readonly RunProperty[];
}

export interface RunPropertyResult {
  readonly verdict: 'holds' | 'broken' | 'bounded';
  /** What was seen, in words. */
  readonly what: readonly string[];
  /** The run, as what `followed` takes; without the zeros at its end. */
  readonly decisions: readonly number[];
  /** Whether the run was made smaller. */
  readonly shrunk: boolean;
  /** Decisions other than first come, first served. */
  readonly deviations: readonly (Decision & { readonly at: number })[];
}

export interface ScenarioExploration {
  readonly queue: DisciplineName;
  readonly strategy: Strategy;
  /** What the states that were compared leave out of a run's history; `nothing`: no run stood for another. */
  readonly reduction: Reduction;
  readonly seed: number;
  readonly runs: number;
  /** Different states in which there was a decision to make; 0 when states are not compared. */
  readonly states: number;
  readonly seconds: number;
  /** What ended the search early. */
  readonly bound: Bound | null;
  /** Every run that there is was made, or one that stands for it, for the times that the seed draws. */
  readonly complete: boolean;
  readonly properties: Readonly<Record<RunProperty, RunPropertyResult>>;
}

/** What ends an exploration before every run was made. */
export type Bound = 'runs' | 'time' | 'memory' | 'interrupted';

/** Runs between two looks at the memory. */
const RUNS_A_LOOK = 64;
/** Runs made before worker threads are worth their start. */
const RUNS_BEFORE_WORKERS = 64;

const mebibytes = () => process.memoryUsage.rss() / 2 ** 20;

/** Runs tried to make a counterexample smaller. */
const MAX_SHRINKING_RUNS = 400;

/** Runs tried to see whether a cure is one. */
const MAX_CURE_RUNS = 200;

/**
 * Runs the whole driver on a scenario again and again, in virtual time, with another order each time. A run is its
 * decisions: who goes wherever more than one could. It ends at the bounds, or when every run has been made, or when every
 * property is broken; each counterexample is then made smaller.
 */
export async function exploreScenario(
  scenario: Scenario,
  options: ExploreScenarioOptions,
): Promise<ScenarioExploration> {
  requireKnownOptions('exploreScenario', options, names);
  const { queue, strategy, seed, orderings = 3, reduce = true, progress, createQueue } = options;
  const { faults = noFaults } = options;
  const workers = createQueue === undefined ? (options.workers ?? 1) : 1;
  const { maxRuns, maxSeconds = Number.POSITIVE_INFINITY, maxMiB = Number.POSITIVE_INFINITY, signal } = options;
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const found = new Map<RunProperty, readonly number[]>();
  const source =
    strategy === 'deviations'
      ? new Deviations(options.maxDeviations)
      : new ByLot(seed, strategy === 'random' ? undefined : orderings, faults.most);
  const settings: RunSettings = { scenario, queue, seed, faults, reduce };
  const here = new RunMaker(settings, createQueue);
  let pool: RunWorkers | undefined;
  const underWay: { readonly task: RunTask; readonly run: Promise<JudgedRun> }[] = [];
  let given = 0;
  let runs = 0;
  let reported = 0;
  let bound: Bound | null = null;
  try {
    for (;;) {
      if (source.exhausted) break;
      if (runs >= maxRuns) bound = 'runs';
      else if (seconds() >= maxSeconds) bound = 'time';
      else if (signal?.aborted) bound = 'interrupted';
      else if (runs % RUNS_A_LOOK === 0 && mebibytes() > maxMiB) bound = 'memory';
      if (bound !== null) break;
      if (workers > 1 && runs >= RUNS_BEFORE_WORKERS) pool ??= new RunWorkers(settings, workers, source.explored);
      while (underWay.length < (pool?.width ?? 1) && given < maxRuns) {
        const task = source.next();
        if (task === undefined) break;
        given++;
        const run = pool?.make(task) ?? here.make(task, source.explored);
        // Whoever does not wait for it any more does not care that it failed.
        run.catch(() => undefined);
        underWay.push({ task, run });
      }
      // In the order in which they were given out, so that what is learnt does not depend on who is quicker.
      const next = underWay.shift();
      if (next === undefined) break;
      const judged = await next.run;
      runs++;
      const learnt = source.learn(next.task, judged);
      pool?.learn(learnt);
      for (const name of judged.broken.keys())
        if (!found.has(name))
          found.set(
            name,
            judged.decisions.map(({ index }) => index),
          );
      // Where nobody comes through, what follows from it is found by the same runs.
      if (options.goOn !== true && found.has('finished')) break;
      if (options.first === true && found.size > 0) break;
      if (found.size === RUN_PROPERTY_NAMES.length) break;
      if (progress !== undefined && seconds() - reported > 0.25) {
        reported = seconds();
        const { waiting, explored } = source;
        const broken = [...found.keys()];
        const states = explored.size;
        progress({ runs, maxRuns, seconds: reported, waiting, states, mebibytes: mebibytes(), broken });
      }
    }
  } finally {
    await pool?.[Symbol.asyncDispose]();
  }

  const complete = source.exhausted;
  const properties: Partial<Record<RunProperty, RunPropertyResult>> = {};
  for (const name of RUN_PROPERTY_NAMES) {
    const decisions = found.get(name);
    properties[name] =
      decisions === undefined
        ? { verdict: complete ? 'holds' : 'bounded', what: [], decisions: [], shrunk: false, deviations: [] }
        : await shrunk(scenario, options, name, decisions);
  }
  return {
    queue,
    strategy,
    reduction: strategy === 'deviations' ? (here.reduction ?? 'nothing') : 'nothing',
    seed,
    runs,
    states: source.explored.size,
    seconds: seconds(),
    bound,
    complete,
    properties: properties as Record<RunProperty, RunPropertyResult>,
  };
}

/** The same breach with as few deviations as can be found by taking them back one at a time. */
async function shrunk(
  scenario: Scenario,
  options: ExploreScenarioOptions,
  name: RunProperty,
  decisions: readonly number[],
): Promise<RunPropertyResult> {
  const { queue, seed, faults, createQueue, shrink } = options;
  let best = [...decisions];
  let judged = await judgeRun(scenario, queue, seed, followed(best), faults, { createQueue });
  let runs = 0;
  const isWanted = options.first !== true && ((await shrink?.(name)) ?? true);
  for (let again = isWanted; again; ) {
    again = false;
    for (let at = best.length - 1; at >= 0 && runs < MAX_SHRINKING_RUNS; at--) {
      if (best[at] === 0) continue;
      const tried = best.with(at, 0);
      const outcome = await judgeRun(scenario, queue, seed, followed(tried), faults, { createQueue });
      runs++;
      if (!outcome.broken.has(name)) continue;
      best = outcome.decisions.map(({ index }) => index);
      judged = outcome;
      again = true;
    }
  }
  while (best.at(-1) === 0) best.pop();
  const cure = name === 'finished' && options.first !== true ? await triedReserve(scenario, options, judged) : [];
  return {
    verdict: 'broken',
    what: [...(judged.broken.get(name) ?? []), ...cure],
    decisions: best,
    shrunk: isWanted,
    deviations: judged.decisions.flatMap((decision, at) => (decision.index === 0 ? [] : [{ at, ...decision }])),
  };
}

/** Everybody comes through, as far as it was tried, with a thread kept for relief calls: in a sentence, or nothing. */
async function triedReserve(
  scenario: Scenario,
  options: ExploreScenarioOptions,
  { reliefSlept }: JudgedRun,
): Promise<readonly string[]> {
  const { queue, maxRuns, tryCures = true } = options;
  if (!tryCures || !reserveMayHelp(scenario, queue, reliefSlept)) return [];
  const { progress: _, ...others } = options;
  const kept = { ...scenario, reserve: true };
  const limits = { maxRuns: Math.min(maxRuns, MAX_CURE_RUNS), workers: 1, goOn: false, tryCures: false };
  const { runs, complete, properties } = await exploreScenario(kept, { ...others, ...limits });
  if (properties.finished.verdict === 'broken') return [];
  const howFar = complete ? 'in every order' : `in ${runs} runs`;
  return [`Tried: with \`reserve: true\`, a thread kept for relief calls, all clients finish ${howFar}.`];
}
