import type { DisciplineName } from '../../../optee/call-queue/call-queue.js';
import type { CreateCallQueue } from '../../../optee/call-queue/disciplines.js';
import type { Scenario } from '../../../scenario/scenario.js';
import type { FaultSettings } from '../fault-choices.js';
import { type Reduction, reductionFor } from '../states/reduction.js';
import { StateWatch } from '../states/state-watch.js';
import { type JudgedRun, judgeRun } from './judge-run.js';
import { type RunTask, recorderFor } from './run-source.js';

/** The settings of all runs of an exploration. */
export interface RunSettings {
  readonly scenario: Scenario;
  readonly queue: DisciplineName;
  readonly seed: number;
  readonly faults: FaultSettings;
  /** Whether states are compared. */
  readonly reduce: boolean;
}

/** Makes runs. */
export class RunMaker {
  /** What compared states leave out; undefined if states are not compared. */
  readonly reduction: Reduction | undefined;

  constructor(
    private readonly settings: RunSettings,
    private readonly createQueue?: CreateCallQueue,
  ) {
    const reduction = reductionFor(settings.scenario);
    this.reduction = settings.reduce && reduction !== 'nothing' ? reduction : undefined;
  }

  /** @param explored digests of states at which a run may end. */
  make(task: RunTask, explored: ReadonlySet<string>): Promise<JudgedRun> {
    const { reduction, createQueue } = this;
    const { scenario, queue, seed, faults } = this.settings;
    const recorder = recorderFor(task);
    const settles = faults.kinds.length === 0 || faults.most === 0;
    const watch =
      reduction === undefined || task.by !== 'list'
        ? undefined
        : new StateWatch(recorder, reduction, task.decisions.length, explored, settles);
    return judgeRun(scenario, queue, seed, recorder, faults, { watch, createQueue });
  }
}

/** The message to a worker thread. */
export interface WorkerTask {
  readonly task: RunTask;
  /** New states that need not be explored again, in addition to those of earlier messages. */
  readonly learnt: readonly string[];
}
