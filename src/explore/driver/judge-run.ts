import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import type { CreateCallQueue } from '../../optee/call-queue/disciplines.js';
import type { Scenario } from '../../scenario/scenario.js';
import { ScenarioRun } from '../../scenario/scenario-run.js';
import type { Decision, DecisionRecorder } from './decisions.js';
import { RunChecks, type RunProperty } from './run-checks.js';
import { AlreadyExplored, type StateWatch } from './state-watch.js';

/** What came of one run. */
export interface JudgedRun {
  readonly decisions: readonly Decision[];
  /** By decision: the state in which it was made, where a watch looked. */
  readonly states: readonly (string | undefined)[];
  readonly broken: ReadonlyMap<RunProperty, readonly string[]>;
}

export interface JudgeOptions {
  /** Ends the run where another was before. */
  readonly watch?: StateWatch | undefined;
  /** Makes the call queue, when it is not to be the discipline's own. */
  readonly createQueue?: CreateCallQueue | undefined;
}

/** Makes one run of the scenario and looks at everything that is promised. */
export async function judgeRun(
  scenario: Scenario,
  queue: DisciplineName,
  seed: number,
  recorder: DecisionRecorder,
  { watch, createQueue }: JudgeOptions = {},
): Promise<JudgedRun> {
  const { pick, choose } = watch ?? recorder;
  const run = new ScenarioRun(scenario, queue, seed, pick, choose);
  run.createQueue = createQueue;
  watch?.open(run, createQueue);
  const checks = new RunChecks(() => run.queueState);
  run.trace.listen(checks.listen);
  const broken = new Map<RunProperty, readonly string[]>();
  try {
    await judge(run, checks, broken, watch);
  } catch (error) {
    // What could come of it is the matter of another run.
    if (!(error instanceof AlreadyExplored)) throw error;
  }
  for (const [name, what] of checks.broken) broken.set(name, [what]);
  return { decisions: recorder.made, states: watch?.states ?? [], broken };
}

/** @throws AlreadyExplored */
async function judge(
  run: ScenarioRun,
  checks: RunChecks,
  broken: Map<RunProperty, readonly string[]>,
  watch: StateWatch | undefined,
): Promise<void> {
  const opened = await run.until(run.open());
  if (opened === 'stopped') {
    run.begin();
    watch?.begin(run);
  }
  const result =
    opened === 'stopped' ? run.result(true, await run.until(run.clients.work())) : run.result(false, opened);
  // Whoever is stuck keeps what it has.
  if (result.outcome === 'finished') {
    watch?.beginClosing();
    const { sessions, sharedMemoryObjects, sharedMemoryBytes } = await run.close();
    if (sessions + sharedMemoryObjects + sharedMemoryBytes > 0) {
      const left = `${sessions} sessions, ${sharedMemoryObjects} objects and ${sharedMemoryBytes} bytes of shared memory`;
      checks.break('everythingReturned', left);
    }
    checks.atEnd();
  } else {
    broken.set('finished', [result.outcome, ...result.explanation]);
  }
}
