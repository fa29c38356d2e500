import type { RunEnd } from '../../../clock/virtual-clock.js';
import type { DisciplineName } from '../../../optee/call-queue/call-queue.js';
import { type CreateCallQueue, createCallQueue, keepsReserve } from '../../../optee/call-queue/disciplines.js';
import { type MsgArg, OpteeMsgAttr } from '../../../protocol/optee-msg.js';
import type { Invocation } from '../../../scenario/journal/run-journal.js';
import { ScenarioRun } from '../../../scenario/run/scenario-run.js';
import type { Scenario } from '../../../scenario/scenario.js';
import type { TraceRecorder } from '../../../trace/trace.js';
import type { Decision, DecisionRecorder } from '../decisions.js';
import { FaultChoices, type FaultSettings } from '../fault-choices.js';
import { acceptedInvalidAnswers } from '../properties/accepted-invalid-answers.js';
import { DeathChecks } from '../properties/death-checks.js';
import { MemoryWatch } from '../properties/memory-watch.js';
import type { Occasions } from '../properties/not-tried.js';
import { ReliefChecks } from '../properties/relief-checks.js';
import { RunChecks, type RunProperty } from '../properties/run-checks.js';
import { SessionChecks } from '../properties/session-checks.js';
import { unexplainedFailures } from '../properties/unexplained-failures.js';
import { AlreadyExplored, type StateWatch } from '../states/state-watch.js';
import { WatchedQueue } from '../states/watched-queue.js';

/** The result of one run. */
export interface JudgedRun extends Occasions {
  readonly decisions: readonly Decision[];
  /** By decision: the state in which it was made, as far as states were recorded. */
  readonly states: readonly (string | undefined)[];
  readonly broken: ReadonlyMap<RunProperty, readonly string[]>;
}

/** Without faults, the order is the only choice. */
export const noFaults: FaultSettings = { kinds: [], most: 0 };

export interface JudgeOptions {
  /** Ends the run at a state that another run has reached. */
  readonly watch?: StateWatch | undefined;
  /** Creates the call queue. Default: the discipline's own. */
  readonly createQueue?: CreateCallQueue | undefined;
  /** Records the run. */
  readonly record?: TraceRecorder | undefined;
  /** Use the fine-grained points, even if nothing in the scenario comes or goes during calls. */
  readonly fine?: boolean | undefined;
}

/**
 * Make one run of the scenario and check all properties.
 *
 * Faults excuse few violations. A client that waits for a dropped answer is killed at the end, as a user would do; then
 * all other clients must finish. After the loss of threads, calls that hold all remaining threads may wait for each
 * other, because no queue can prevent that. All other properties must hold under every fault.
 */
export async function judgeRun(
  scenario: Scenario,
  queue: DisciplineName,
  seed: number,
  recorder: DecisionRecorder,
  faults: FaultSettings = noFaults,
  { watch, createQueue = createCallQueue, record, fine = false }: JudgeOptions = {},
): Promise<JudgedRun> {
  let choices: FaultChoices | undefined;
  const { pick, choose } = watch ?? recorder;
  const run = new ScenarioRun(scenario, queue, seed, pick, choose, (offer) => {
    choices = new FaultChoices(faults, offer);
    return choices;
  });
  let watched: WatchedQueue | undefined;
  run.createQueue = (...settings) => {
    watched = new WatchedQueue(createQueue(...settings));
    relief.watch(watched);
    return watched;
  };
  if (record !== undefined) run.trace.attach(record);
  watch?.open(run);
  const checks = new RunChecks(() => run.queueState);
  const sessions = new SessionChecks({
    queueState: () => run.queueState,
    lastInvocation: () => run.journal.last,
    invocationOf: (message) => invocationOf(scenario, message),
    candidates: (label) => invocationsOf(run, label),
    says: (property, what) => checks.break(property, what),
  });
  const relief = new ReliefChecks({
    queue: () => watched,
    reserve: scenario.reserve && keepsReserve(queue),
    freeThreads: () => run.freeThreads,
    says: (what) => checks.break('reliefGoesFirst', what),
  });
  const deaths = new DeathChecks({
    died: (label) => run.clients.deaths.some((death) => death.label === label),
    closesItself: (label) => run.clients.closeThemselves.has(label),
    says: (property, what) => checks.break(property, what),
  });
  run.clients.onGone = deaths.gone;
  run.onStill = () => {
    relief.still();
    if (run.clients.deaths.length > 0) deaths.still();
  };
  const memory = new MemoryWatch((what) => checks.break('memoryHeld', what), sessions.enters);
  run.between = memory.between;
  run.fine = fine || resourcesChange(scenario);
  const listeners = [checks.listen, sessions.listen, memory.listen, relief.listen, deaths.listen];
  for (const listener of listeners) run.trace.watch(listener);
  let reachedEnd = false;
  try {
    reachedEnd = await judge(run, scenario, checks, () => choices?.end(), watch && { watch, queue: () => watched });
    relief.atEnd();
  } catch (error) {
    // The rest of this run is covered by another run.
    if (!(error instanceof AlreadyExplored)) throw error;
  }
  const { reliefSlept } = run;
  const clientDied = run.clients.deaths.length > 0;
  const { broken } = checks;
  return { decisions: recorder.made, states: watch?.states ?? [], broken, reliefSlept, clientDied, reachedEnd };
}

/**
 * @returns whether all clients finished.
 * @throws AlreadyExplored
 */
async function judge(
  run: ScenarioRun,
  scenario: Scenario,
  checks: RunChecks,
  endFaults: () => void,
  states: { readonly watch: StateWatch; readonly queue: () => WatchedQueue | undefined } | undefined,
): Promise<boolean> {
  const opened = (await runToEnd(run, run.open())) === 'stopped';
  if (opened) {
    states?.watch.begin(run, states.queue());
    run.begin();
  }
  const { incidents } = run;
  // If every client lost its session before it could begin, there is no work.
  const begun = opened && !(incidents.any && run.clients.idle);
  const end = begun ? await runToEnd(run, run.clients.work()) : opened ? 'stopped' : 'quiet';
  endFaults();

  const result = run.result(opened, end);
  run.conclude(result);
  const { outcome, explanation } = result;
  const through = incidents.any ? end === 'stopped' : outcome === 'finished';
  const full = incidents.lostThreads > 0 && incidents.threads.free === 0 && outcome === 'deadlock';
  checks.break('memoryHeld', ...run.journal.memoryGone);
  checks.break('dataArrived', ...run.journal.notArrived);
  checks.break('answersChecked', ...acceptedInvalidAnswers(run, scenario));
  checks.break('failuresExplained', ...unexplainedFailures(run, scenario));
  if (through) {
    states?.watch.beginClosing();
    await judgeEnd(run, scenario, checks);
  } else if (!full) {
    // Clients that are stuck keep their resources.
    checks.break('finished', outcome, ...explanation);
  }
  checks.break('callsAnsweredOnce', ...incidents.wrongAnswers);
  return through;
}

/** Run until the work is done, or nothing can proceed even after clients with unanswered requests were killed. */
async function runToEnd(run: ScenarioRun, work: Promise<void>): Promise<RunEnd> {
  let end = await run.until(work);
  while (end !== 'stopped' && run.killUnansweredClients()) end = await run.until(work);
  return end;
}

/**
 * All clients finished: check what remains after the dead clients and then all others are gone, and whether a new
 * client can begin.
 */
async function judgeEnd(run: ScenarioRun, scenario: Scenario, checks: RunChecks): Promise<void> {
  if (!(await run.releaseDeadClients())) {
    const kept = run.clients.deaths.filter(({ released }) => released === undefined).map(({ label }) => label);
    checks.break('resourcesReleased', `${kept.join(', ')} died, and their resources are not released`);
    return;
  }
  if (knowsItsSessions(scenario) && !run.incidents.panicked && run.incidents.hung.size === 0) {
    const open = run.sessionsInSecureWorld - run.incidents.reportedRefused.session;
    const held = run.clients.sessionsHeld;
    if (open !== held)
      checks.break('sessionsInOrder', `${open} sessions are open in secure world, but clients know of ${held}`);
  }
  const { reportedRefused, panicked, hung } = run.incidents;
  if (!(await run.leave())) {
    checks.break('resourcesReleased', 'a client cannot exit');
    return;
  }
  // A client that hangs in secure world keeps its thread, its session and a reservation as long as that world runs.
  if (hung.size > 0) return;
  // An application for one client still has the session whose opening was reported to the driver as refused.
  if (!panicked && reportedRefused.session === 0) checks.break('usableAgain', ...(await run.unusable()));
  const left = await run.close();
  // A dead secure world keeps its resources. The driver cannot release those whose allocation was reported to it as
  // refused.
  const sessions = panicked ? 0 : left.sessions - reportedRefused.session;
  const sharedMemoryObjects = panicked ? 0 : left.sharedMemoryObjects - reportedRefused.memory;
  // Memory that secure world reports as not released stays allocated.
  const sharedMemoryBytes = panicked || reportedRefused.release > 0 ? 0 : left.sharedMemoryBytes;
  if (sessions > 0 || sharedMemoryObjects > 0 || sharedMemoryBytes > 0)
    checks.break(
      'resourcesReleased',
      `${sessions} sessions, ${sharedMemoryObjects} objects and ${sharedMemoryBytes} bytes of shared memory`,
    );
  checks.atEnd();
}

/** The invocation of a message: applications of the file get its number in the first parameter. */
function invocationOf({ applications }: Scenario, message: MsgArg): number | undefined {
  if ([...applications.values()].some(({ kind }) => kind === 'shipped')) return undefined;
  return message.paramCount > 0 && message.attr(0) === OpteeMsgAttr.valueInput ? message.a(0) : undefined;
}

/** Invocations of a client to which a call that has just begun can belong: all that have not ended. */
function invocationsOf({ journal }: ScenarioRun, label: string): Invocation[] {
  return [...journal.openInvocations].filter((each) => each.label === label && each.command !== 'open session');
}

/**
 * Whether sessions, memory, pages for messages or interrupts come and go during calls. Then there are more orders to
 * explore than those of calls.
 */
export function resourcesChange({ clients, secureWorld }: Scenario): boolean {
  if (!secureWorld.reservedShm) return true;
  return [...clients.values()].some(
    ({ steps, threadOf }) => threadOf !== undefined || steps.some(({ step }) => step !== 'invoke' && step !== 'wait'),
  );
}

/** Whether every session of a client is known: all applications are modelled, and all calls end. */
function knowsItsSessions({ applications, clients }: Scenario): boolean {
  return (
    [...applications.values()].every(({ kind }) => kind !== 'shipped') &&
    [...clients.values()].every(({ repeat }) => Number.isFinite(repeat))
  );
}
