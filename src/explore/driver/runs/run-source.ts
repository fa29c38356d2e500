import {
  type Decision,
  type DecisionRecorder,
  followed,
  priorityWalk,
  type RunLengths,
  randomWalk,
} from '../decisions.js';
import type { JudgedRun } from './judge-run.js';

/** A run to make. */
export type RunTask =
  /** Follow these decisions, `deviations` of which are not first come, first served; then first come, first served. */
  | { readonly by: 'list'; readonly decisions: readonly number[]; readonly deviations: number }
  | { readonly by: 'random'; readonly seed: number; readonly lengths: RunLengths; readonly faults: number }
  | {
      readonly by: 'priorities';
      readonly seed: number;
      readonly orderings: number;
      readonly lengths: RunLengths;
      readonly faults: number;
    };

export function recorderFor(task: RunTask): DecisionRecorder {
  switch (task.by) {
    case 'list':
      return followed(task.decisions);
    case 'random':
      return randomWalk(task.seed, task.lengths, task.faults);
    case 'priorities':
      return priorityWalk(task.seed, task.orderings, task.lengths, task.faults);
  }
}

/** The source of runs. Results must be passed to `learn` in the order of the tasks. */
export interface RunSource {
  /** Undefined if all runs were returned, or the next one depends on results that are still missing. */
  next(): RunTask | undefined;
  /** @returns states that need not be explored again because of this run. */
  learn(task: RunTask, run: JudgedRun): readonly string[];
  /** The number of known runs that were not returned yet. */
  readonly waiting: number;
  /** Whether every run, or an equivalent one, was made. */
  readonly exhausted: boolean;
  /** Digests of states all of whose continuations are among the returned or known runs. */
  readonly explored: ReadonlySet<string>;
}

/** A run that differs from another one in one decision. */
interface Departure {
  /** The decisions of the other run. */
  readonly made: readonly number[];
  readonly position: number;
  readonly index: number;
  /** Including this one. */
  readonly deviations: number;
}

/** All runs by the number of their deviations, fewest first. If states are compared, one run for each continuation. */
export class Deviations implements RunSource {
  private departures: (Departure | undefined)[] = [];
  private at = 0;
  private outstanding = 0;
  private begun = false;
  readonly explored = new Set<string>();

  /** @param most the maximum number of deviations in one run. */
  constructor(private readonly most = Number.POSITIVE_INFINITY) {}

  get waiting(): number {
    return this.departures.length - this.at;
  }

  get exhausted(): boolean {
    return this.begun && this.waiting === 0 && this.outstanding === 0 && this.most === Number.POSITIVE_INFINITY;
  }

  next(): RunTask | undefined {
    if (!this.begun) {
      this.begun = true;
      this.outstanding++;
      return { by: 'list', decisions: [], deviations: 0 };
    }
    const departure = this.departures[this.at];
    if (departure === undefined) return undefined;
    this.departures[this.at++] = undefined;
    if (this.at > 1024 && this.at > this.departures.length / 2) {
      this.departures = this.departures.slice(this.at);
      this.at = 0;
    }
    this.outstanding++;
    const { made, position, index, deviations } = departure;
    return { by: 'list', decisions: [...made.slice(0, position), index], deviations };
  }

  learn(task: RunTask, { decisions, states }: JudgedRun): readonly string[] {
    this.outstanding--;
    const learnt: string[] = [];
    const prefix = task.by === 'list' ? task.decisions : [];
    const deviations = task.by === 'list' ? task.deviations : 0;
    const made = decisions.map(({ index }) => index);
    // A run is identified by its last deviation; a further one may only follow after it.
    for (let position = prefix.length; position < decisions.length; position++) {
      const state = states[position];
      if (state !== undefined) {
        // The rest of this run is covered: the run that reached this state first is followed by all runs that continue
        // from it.
        if (this.explored.has(state)) break;
        this.explored.add(state);
        learnt.push(state);
      }
      if (deviations < this.most) this.depart(made, position, decisions[position], deviations + 1);
    }
    return learnt;
  }

  private depart(made: readonly number[], position: number, decision: Decision | undefined, deviations: number): void {
    if (decision === undefined || decision.settled) return;
    for (let index = 1; index < decision.of; index++) this.departures.push({ made, position, index, deviations });
  }
}

/** Random runs, one after the other. */
export class RandomRuns implements RunSource {
  readonly waiting = 0;
  readonly explored: ReadonlySet<string> = new Set();
  readonly exhausted = false;
  private given = 0;
  private learnt = 0;
  /**
   * Runs up to this one use only results from before the last boundary, so that they do not depend on the speed of the
   * workers.
   */
  private boundary = 1;
  private known: RunLengths = { decisions: 16, events: 16 };
  private longest = this.known;

  /**
   * @param orderings the number of orderings that a defect needs, for random priorities; undefined for purely random
   *   runs.
   * @param faults the maximum number of faults in one run.
   */
  constructor(
    private readonly seed: number,
    private readonly orderings: number | undefined,
    private readonly faults: number,
  ) {}

  next(): RunTask | undefined {
    if (this.given === this.boundary) {
      if (this.learnt < this.given) return undefined;
      this.boundary *= 16;
      this.known = this.longest;
    }
    const seed = (Math.imul(this.seed, 0x9e37_79b1) + this.given++) >>> 0;
    const { known: lengths, orderings, faults } = this;
    return orderings === undefined
      ? { by: 'random', seed, lengths, faults }
      : { by: 'priorities', seed, orderings, lengths, faults };
  }

  learn(_: RunTask, { decisions }: JudgedRun): readonly string[] {
    this.learnt++;
    const events = decisions.filter(({ kind }) => kind === 'event').length;
    this.longest = {
      decisions: Math.max(this.longest.decisions, decisions.length),
      events: Math.max(this.longest.events, events),
    };
    return [];
  }
}
