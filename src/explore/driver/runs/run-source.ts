import {
  type Decision,
  type DecisionRecorder,
  followed,
  priorityWalk,
  type RunLengths,
  randomWalk,
} from '../decisions.js';
import type { JudgedRun } from './judge-run.js';

/** A run to be made. */
export type RunTask =
  /** These decisions, of which so many are deviations, and then whoever comes first. */
  | { readonly by: 'list'; readonly decisions: readonly number[]; readonly deviations: number }
  | { readonly by: 'lot'; readonly seed: number; readonly lengths: RunLengths; readonly faults: number }
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
    case 'lot':
      return randomWalk(task.seed, task.lengths, task.faults);
    case 'priorities':
      return priorityWalk(task.seed, task.orderings, task.lengths, task.faults);
  }
}

/** Where the runs come from. Results are learnt in the order in which the tasks were given out. */
export interface RunSource {
  /** Nothing when every run has been given out, or nothing more can be said before more is learnt. */
  next(): RunTask | undefined;
  /** @returns the states that need not be explored again from now on, because of this run. */
  learn(task: RunTask, run: JudgedRun): readonly string[];
  /** Runs that are known to come. */
  readonly waiting: number;
  /** Every run has been made, or one that stands for it. */
  readonly exhausted: boolean;
  /** States, as digests, all of whose consequences are among the runs given out or known to come. */
  readonly explored: ReadonlySet<string>;
}

/** A run that departs from another by one decision. */
interface Departure {
  /** The decisions of the other. */
  readonly made: readonly number[];
  readonly position: number;
  readonly index: number;
  /** With this one. */
  readonly deviations: number;
}

/** All runs by the number of their deviations, the fewest first; where states are compared, one for each way on. */
export class Deviations implements RunSource {
  private departures: (Departure | undefined)[] = [];
  private at = 0;
  private outstanding = 0;
  private begun = false;
  readonly explored = new Set<string>();

  /** @param most deviations in one run. */
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
    // A run is known by its last deviation: one more may follow only behind it.
    for (let position = prefix.length; position < decisions.length; position++) {
      const state = states[position];
      if (state !== undefined) {
        // What this run did from here on counts for nothing: whoever was here first is followed by all the others.
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

/** One run after the other by lot. */
export class ByLot implements RunSource {
  readonly waiting = 0;
  readonly explored: ReadonlySet<string> = new Set();
  readonly exhausted = false;
  private given = 0;
  private learnt = 0;
  /** Runs up to this one know only of those before the last such boundary: so they do not depend on who is quicker. */
  private boundary = 1;
  private known: RunLengths = { decisions: 16, events: 16 };
  private longest = this.known;

  /**
   * @param orderings how many a defect needs, for priorities; undefined for runs purely by lot.
   * @param faults the most that strike in one run.
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
      ? { by: 'lot', seed, lengths, faults }
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
