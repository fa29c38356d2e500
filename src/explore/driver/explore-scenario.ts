import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import type { Scenario } from '../../scenario/scenario.js';
import {
  type Decision,
  type DecisionRecorder,
  followed,
  priorityWalk,
  type RunLengths,
  randomWalk,
} from './decisions.js';
import type { FaultSettings } from './fault-choices.js';
import { judgeRun, noFaults } from './judge-run.js';
import { RUN_PROPERTY_NAMES, type RunProperty } from './run-checks.js';

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
  /** For `deviations`: the most in one run. */
  readonly maxDeviations?: number;
  /** For `priorities`: how many orderings a defect needs. */
  readonly orderings?: number;
  /** Which faults may strike; none when left out. */
  readonly faults?: FaultSettings;
  readonly signal?: AbortSignal;
  readonly progress?: (progress: ScenarioProgress) => void;
}

export interface ScenarioProgress {
  readonly runs: number;
  readonly maxRuns: number;
  readonly seconds: number;
  /** For `deviations`: runs known but not yet made. */
  readonly waiting: number;
  readonly broken: readonly RunProperty[];
}

export interface RunPropertyResult {
  readonly verdict: 'holds' | 'broken' | 'bounded';
  /** What was seen, in words. */
  readonly what: readonly string[];
  /** The run, as what `followed` takes; without the zeros at its end. */
  readonly decisions: readonly number[];
  /** Decisions other than first come, first served. */
  readonly deviations: readonly (Decision & { readonly at: number })[];
}

export interface ScenarioExploration {
  readonly queue: DisciplineName;
  readonly strategy: Strategy;
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Every run that there is was made, for the times that the seed draws. */
  readonly complete: boolean;
  readonly properties: Readonly<Record<RunProperty, RunPropertyResult>>;
}

/** Runs tried to make a counterexample smaller. */
const MAX_SHRINKING_RUNS = 400;

/**
 * Runs the whole driver on a scenario again and again, in virtual time, with another order each time. A run is its
 * decisions: who goes wherever more than one could. It ends at the bounds, or when every run has been made, or when every
 * property is broken; each counterexample is then made smaller.
 */
export async function exploreScenario(
  scenario: Scenario,
  options: ExploreScenarioOptions,
): Promise<ScenarioExploration> {
  const { queue, strategy, seed, maxRuns, maxSeconds = Number.POSITIVE_INFINITY, faults, signal, progress } = options;
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const found = new Map<RunProperty, readonly number[]>();
  const source = strategy === 'deviations' ? new Deviations(options.maxDeviations) : new ByLot(options);
  let runs = 0;
  let reported = 0;
  for (;;) {
    if (runs >= maxRuns || seconds() >= maxSeconds || signal?.aborted) break;
    const recorder = source.next();
    if (recorder === undefined) break;
    const { decisions, broken } = await judgeRun(scenario, queue, seed, recorder, faults);
    runs++;
    source.learn(decisions);
    for (const name of broken.keys())
      if (!found.has(name))
        found.set(
          name,
          decisions.map(({ index }) => index),
        );
    // Where nobody comes through, what follows from it is found by the same runs.
    if (found.has('finished')) break;
    if (progress !== undefined && seconds() - reported > 0.25) {
      reported = seconds();
      progress({ runs, maxRuns, seconds: reported, waiting: source.waiting, broken: [...found.keys()] });
    }
  }

  const complete = source.exhausted;
  const properties: Partial<Record<RunProperty, RunPropertyResult>> = {};
  for (const name of RUN_PROPERTY_NAMES) {
    const decisions = found.get(name);
    properties[name] =
      decisions === undefined
        ? { verdict: complete ? 'holds' : 'bounded', what: [], decisions: [], deviations: [] }
        : await shrunk(scenario, options, name, decisions);
  }
  return {
    queue,
    strategy,
    seed,
    runs,
    seconds: seconds(),
    complete,
    properties: properties as Record<RunProperty, RunPropertyResult>,
  };
}

/** Where the runs come from. */
interface RunSource {
  /** Nothing when every run has been made. */
  next(): DecisionRecorder | undefined;
  /** What the last run decided. */
  learn(decisions: readonly Decision[]): void;
  readonly waiting: number;
  readonly exhausted: boolean;
}

/** All runs by the number of their deviations, the fewest first. */
class Deviations implements RunSource {
  private readonly prefixes: (readonly number[])[] = [[]];
  private at = 0;

  constructor(private readonly most = Number.POSITIVE_INFINITY) {}

  get waiting(): number {
    return this.prefixes.length - this.at;
  }

  get exhausted(): boolean {
    return this.waiting === 0 && this.most === Number.POSITIVE_INFINITY;
  }

  next(): DecisionRecorder | undefined {
    const prefix = this.prefixes[this.at];
    if (prefix === undefined) return undefined;
    this.at++;
    return followed(prefix);
  }

  learn(decisions: readonly Decision[]): void {
    const prefix = this.prefixes[this.at - 1] ?? [];
    if (prefix.filter((index) => index !== 0).length >= this.most) return;
    // A run is known by its last deviation: one more may follow only behind it.
    const made = decisions.map(({ index }) => index);
    for (let position = prefix.length; position < decisions.length; position++) {
      for (let index = 1; index < (decisions[position]?.of ?? 0); index++) {
        this.prefixes.push([...made.slice(0, position), index]);
      }
    }
  }
}

/** One run after the other by lot. */
class ByLot implements RunSource {
  readonly waiting = 0;
  readonly exhausted = false;
  private runs = 0;
  private lengths: RunLengths = { decisions: 16, events: 16 };

  constructor(private readonly options: ExploreScenarioOptions) {}

  next(): DecisionRecorder {
    const { strategy, seed, orderings = 3, faults: { most } = noFaults } = this.options;
    const lot = (Math.imul(seed, 0x9e37_79b1) + this.runs++) >>> 0;
    return strategy === 'random'
      ? randomWalk(lot, this.lengths, most)
      : priorityWalk(lot, orderings, this.lengths, most);
  }

  learn(decisions: readonly Decision[]): void {
    const events = decisions.filter(({ kind }) => kind === 'event').length;
    this.lengths = {
      decisions: Math.max(this.lengths.decisions, decisions.length),
      events: Math.max(this.lengths.events, events),
    };
  }
}

/** The same breach with as few deviations as can be found by taking them back one at a time. */
async function shrunk(
  scenario: Scenario,
  { queue, seed, faults }: ExploreScenarioOptions,
  name: RunProperty,
  decisions: readonly number[],
): Promise<RunPropertyResult> {
  let best = [...decisions];
  let judged = await judgeRun(scenario, queue, seed, followed(best), faults);
  let runs = 0;
  for (let again = true; again; ) {
    again = false;
    for (let at = best.length - 1; at >= 0 && runs < MAX_SHRINKING_RUNS; at--) {
      if (best[at] === 0) continue;
      const tried = best.with(at, 0);
      const outcome = await judgeRun(scenario, queue, seed, followed(tried), faults);
      runs++;
      if (!outcome.broken.has(name)) continue;
      best = outcome.decisions.map(({ index }) => index);
      judged = outcome;
      again = true;
    }
  }
  while (best.at(-1) === 0) best.pop();
  return {
    verdict: 'broken',
    what: judged.broken.get(name) ?? [],
    decisions: best,
    deviations: judged.decisions.flatMap((decision, at) => (decision.index === 0 ? [] : [{ at, ...decision }])),
  };
}
