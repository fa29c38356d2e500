import { type OptionNames, requireAmount, requireKnownOptions } from '../../known-options.js';
import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import type { CreateCallQueue } from '../../optee/call-queue/disciplines.js';
import { seedLimit } from '../../scenario/run-scenario.js';
import type { Scenario } from '../../scenario/scenario.js';
import { reserveMayHelp } from '../../scenario/tried-cures.js';
import { show } from '../../show.js';
import { type Decision, followed } from './decisions.js';
import type { FaultSettings } from './fault-choices.js';
import { notTriedBecause, type Occasions } from './properties/not-tried.js';
import { RUN_PROPERTY_NAMES, type RunProperty } from './properties/run-checks.js';
import { type JudgedRun, judgeRun, noFaults } from './runs/judge-run.js';
import { RunMaker, type RunSettings } from './runs/run-maker.js';
import { Deviations, RandomRuns, type RunTask } from './runs/run-source.js';
import { RunWorkers } from './runs/run-workers.js';
import type { Reduction } from './states/reduction.js';

/** The order in which runs are tried. */
export type Strategy =
  /** All runs with one deviation from first come, first served, then all with two, and so on. */
  'deviations' | 'random' | 'priorities';

/** Options of `exploreScenario`. */
export interface ExploreScenarioOptions {
  readonly queue: DisciplineName;
  readonly strategy: Strategy;
  /** The seed of the scenario's times, and of the runs of a random strategy. */
  readonly seed: number;
  /** The maximum number of runs. */
  readonly maxRuns: number;
  readonly maxSeconds?: number;
  /** Limit for the memory of this process. */
  readonly maxMiB?: number;
  /** For `deviations`: the maximum number in one run. */
  readonly maxDeviations?: number;
  /** For `priorities`: the number of orderings that a defect needs. */
  readonly orderings?: number;
  /** For `deviations`: end a run at a state that another run has reached. Default: true. */
  readonly reduce?: boolean;
  /** Continue after a run in which a client did not finish, until every property is broken or every run made. */
  readonly goOn?: boolean;
  /** Stop at the first broken property, and do not shrink its run. */
  readonly first?: boolean;
  /** The number of worker threads for an exploration that is not short. Default: 1, which means none. */
  readonly workers?: number;
  /** Creates the call queue. Default: the discipline's own. With it there are no workers. */
  readonly createQueue?: CreateCallQueue;
  /** The faults that may occur. Default: none. */
  readonly faults?: FaultSettings;
  /**
   * If a client did not finish and relief calls of the driver slept, try whether all clients would finish with a
   * reserved thread. Default: true.
   */
  readonly tryCures?: boolean;
  /** Called for each broken property: whether to shrink its counterexample. Default: always. */
  readonly shrink?: (property: RunProperty) => Promise<boolean>;
  /** Ends the exploration early; the result covers the runs so far. */
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

/** Progress of an exploration. */
export interface ScenarioProgress {
  readonly runs: number;
  readonly maxRuns: number;
  readonly seconds: number;
  /** For `deviations`: the number of known runs that were not made yet. */
  readonly waiting: number;
  /** The number of different states so far. */
  readonly states: number;
  /** Memory of this process in MiB. */
  readonly mebibytes: number;
  readonly broken: readonly RunProperty[];
}

/** The result for one property. */
export interface RunPropertyResult {
  readonly verdict: 'holds' | 'broken' | 'bounded';
  /** The reason why no run could have broken the property, if none could. */
  readonly vacuous?: string;
  /** What was observed, as sentences. */
  readonly what: readonly string[];
  /** The run as a list for `followed`, without trailing zeros. */
  readonly decisions: readonly number[];
  /** Whether the run was shrunk. */
  readonly shrunk: boolean;
  /** The decisions that differ from first come, first served. */
  readonly deviations: readonly (Decision & { readonly at: number })[];
}

/** The result of an exploration. */
export interface ScenarioExploration {
  readonly queue: DisciplineName;
  readonly strategy: Strategy;
  /** What the compared states leave out of a run's history; `nothing`: states were not compared. */
  readonly reduction: Reduction;
  readonly seed: number;
  readonly runs: number;
  /** The number of different states with a decision; 0 if states are not compared. */
  readonly states: number;
  readonly seconds: number;
  /** The limit that ended the search early; null if none did. */
  readonly bound: Bound | null;
  /** Whether every run, or an equivalent one, was made for the times of this seed. */
  readonly complete: boolean;
  readonly properties: Readonly<Record<RunProperty, RunPropertyResult>>;
}

/** The reasons for which an exploration ends before every run was made. */
export type Bound = 'runs' | 'time' | 'memory' | 'interrupted';

const strategies: ReadonlySet<string> = new Set<Strategy>(['deviations', 'random', 'priorities']);

/**
 * @throws TypeError or RangeError naming an option that would make the search endless, or that belongs to another
 *   strategy.
 */
function checkBounds({ strategy, seed, maxRuns, maxSeconds, maxMiB, maxDeviations, workers }: ExploreScenarioOptions) {
  if (!strategies.has(strategy))
    throw new TypeError(`exploreScenario: strategy is ${show(strategy)}; allowed: ${[...strategies].join(', ')}`);
  if (!(Number.isInteger(seed) && seed >= 0 && seed < seedLimit))
    throw new RangeError(`exploreScenario: seed ${show(seed)} is not a whole number from 0 to ${seedLimit - 1}`);
  requireAmount('exploreScenario', 'maxRuns', maxRuns);
  for (const [name, bound] of Object.entries({ maxSeconds, maxMiB, maxDeviations, workers }))
    if (bound !== undefined) requireAmount('exploreScenario', name, bound);
}

/** Runs between two checks of the memory. */
const RUNS_A_LOOK = 64;
/** Runs made before worker threads are started, because starting them takes time. */
const RUNS_BEFORE_WORKERS = 64;

const mebibytes = () => process.memoryUsage.rss() / 2 ** 20;

/** Maximum number of runs for shrinking a counterexample. */
const MAX_SHRINKING_RUNS = 400;

/** Maximum number of runs for trying a cure. */
const MAX_CURE_RUNS = 200;

/**
 * Runs the whole driver on a scenario repeatedly, in virtual time, each time in another order. A run is determined by
 * its decisions: which actor continues whenever several could. The exploration ends at a limit, or when every run was
 * made, or when every property is broken. Each counterexample is then shrunk.
 */
export async function exploreScenario(
  scenario: Scenario,
  options: ExploreScenarioOptions,
): Promise<ScenarioExploration> {
  requireKnownOptions('exploreScenario', options, names);
  checkBounds(options);
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
      : new RandomRuns(seed, strategy === 'random' ? undefined : orderings, faults.most);
  const settings: RunSettings = { scenario, queue, seed, faults, reduce };
  const here = new RunMaker(settings, createQueue);
  let pool: RunWorkers | undefined;
  const underWay: { readonly task: RunTask; readonly run: Promise<JudgedRun> }[] = [];
  let given = 0;
  let runs = 0;
  let reported = 0;
  let bound: Bound | null = null;
  let occasions: Occasions = { reliefSlept: false, clientDied: false, reachedEnd: false };
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
        // If an earlier run ends the exploration, this result is not awaited, so its rejection is handled here.
        run.catch(() => undefined);
        underWay.push({ task, run });
      }
      // Results are processed in the order of the tasks, so that they do not depend on the speed of the workers.
      const next = underWay.shift();
      if (next === undefined) break;
      const judged = await next.run;
      runs++;
      occasions = {
        reliefSlept: occasions.reliefSlept || judged.reliefSlept,
        clientDied: occasions.clientDied || judged.clientDied,
        reachedEnd: occasions.reachedEnd || judged.reachedEnd,
      };
      const learnt = source.learn(next.task, judged);
      pool?.learn(learnt);
      for (const name of judged.broken.keys())
        if (!found.has(name))
          found.set(
            name,
            judged.decisions.map(({ index }) => index),
          );
      // After a run in which a client did not finish, the same runs would break properties that follow from it.
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
        ? unbroken(complete, notTriedBecause(name, occasions))
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

function unbroken(complete: boolean, vacuous: string | undefined): RunPropertyResult {
  const verdict = complete ? 'holds' : 'bounded';
  return {
    verdict,
    ...(vacuous === undefined ? {} : { vacuous }),
    what: [],
    decisions: [],
    shrunk: false,
    deviations: [],
  };
}

/** The same violation with fewer deviations, found by removing them one at a time. */
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

/**
 * A sentence, if in all tried runs every client finishes with a thread reserved for relief calls; otherwise undefined.
 */
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
