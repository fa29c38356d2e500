import type { Choose, Pick } from '../../../clock/controlled-schedule.js';
import type { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { DecisionRecorder } from '../decisions.js';
import type { Reduction } from './reduction.js';
import { RunState } from './run-state.js';
import type { WatchedQueue } from './watched-queue.js';

/** The run reached a state from which every continuation has been tried, or will be. */
export class AlreadyExplored extends Error {}

/** Sits between a run and its decider, and ends the run at a state that another run has reached. */
export class StateWatch {
  /** By decision: the digest of the state in which it was made; undefined for given decisions. */
  readonly states: (string | undefined)[] = [];
  private state: RunState | undefined;
  /** The owners of the sessions that are open when the run begins. */
  private readonly owners = new Map<number, string>();

  /**
   * @param from the first decision that was not given; before it the run intentionally repeats another run.
   * @param explored digests of states that need not be explored again.
   * @param settles independent steps are executed first, and their order is not a decision; not with faults.
   */
  constructor(
    private readonly recorder: DecisionRecorder,
    private readonly reduction: Reduction,
    private readonly from: number,
    private readonly explored: ReadonlySet<string>,
    private readonly settles = false,
  ) {}

  /** @throws AlreadyExplored */
  readonly pick: Pick = (held) => {
    const { recorder, state } = this;
    const decision = recorder.made.length;
    if (state !== undefined && held.length > 1 && decision >= this.from) {
      const alone = this.settles ? held.findIndex((one) => state.isIndependent(one)) : -1;
      const one = held[alone];
      if (one !== undefined) {
        recorder.settle(held, alone);
        state.goes(one);
        return alone;
      }
      const digest = state.digest(held);
      if (this.explored.has(digest)) throw new AlreadyExplored();
      this.states[decision] = digest;
    }
    const index = recorder.pick(held);
    const chosen = held[index];
    if (chosen !== undefined) state?.goes(chosen);
    return index;
  };

  readonly choose: Choose = (actor, options) => {
    const index = this.recorder.choose(actor, options);
    if (index > 0) this.state?.strikes(actor, options[index] ?? '');
    return index;
  };

  /** The run is about to be opened. */
  open(run: ScenarioRun): void {
    run.trace.watch((event) => {
      if (event.type === 'session-open') this.owners.set(event.session, event.context);
    });
  }

  /** All sessions are open, and no client has made a call. */
  begin(run: ScenarioRun, queue: WatchedQueue | undefined): void {
    if (queue !== undefined) this.state = new RunState(run, queue, this.reduction, this.owners);
  }

  /** All clients finished and close. */
  beginClosing(): void {
    this.state?.beginClosing();
  }
}
