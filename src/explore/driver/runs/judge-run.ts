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
import { DeathChecks } from '../properties/death-checks.js';
import { MemoryWatch } from '../properties/memory-watch.js';
import { ReliefChecks } from '../properties/relief-checks.js';
import { RunChecks, type RunProperty } from '../properties/run-checks.js';
import { SessionChecks } from '../properties/session-checks.js';
import { takenForGood } from '../properties/taken-for-good.js';
import { hurtWithoutCause } from '../properties/unhurt.js';
import { AlreadyExplored, type StateWatch } from '../states/state-watch.js';
import { WatchedQueue } from '../states/watched-queue.js';

/** What came of one run. */
export interface JudgedRun {
  readonly decisions: readonly Decision[];
  /** By decision: the state in which it was made, where a watch looked. */
  readonly states: readonly (string | undefined)[];
  readonly broken: ReadonlyMap<RunProperty, readonly string[]>;
  /** A relief call slept in the queue. */
  readonly reliefSlept: boolean;
}

/** Without a fault nothing is chosen but the order. */
export const noFaults: FaultSettings = { kinds: [], most: 0 };

export interface JudgeOptions {
  /** Ends the run where another was before. */
  readonly watch?: StateWatch | undefined;
  /** Makes the call queue, when it is not to be the discipline's own. */
  readonly createQueue?: CreateCallQueue | undefined;
  /** Records the run. */
  readonly record?: TraceRecorder | undefined;
  /** Orders of the finer points, also in a scenario in which nothing comes or goes meanwhile. */
  readonly fine?: boolean | undefined;
}

/**
 * Makes one run of the scenario and looks at everything that is promised.
 *
 * What faults excuse is little. Who waits for an answer that was dropped is killed in the end, as a person would do; then
 * everybody else must come through. Calls that fill every thread that is left may wait for each other when contexts went
 * lost: that no queue helps. Everything else holds under every fault.
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
  run.fine = fine || comesAndGoes(scenario);
  const listeners = [checks.listen, sessions.listen, memory.listen, relief.listen, deaths.listen];
  for (const listener of listeners) run.trace.listen(listener);
  try {
    await judge(run, scenario, checks, () => choices?.end(), watch && { watch, queue: () => watched });
    relief.atEnd();
  } catch (error) {
    // What could come of it is the matter of another run.
    if (!(error instanceof AlreadyExplored)) throw error;
  }
  const { reliefSlept } = run;
  return { decisions: recorder.made, states: watch?.states ?? [], broken: checks.broken, reliefSlept };
}

/** @throws AlreadyExplored */
async function judge(
  run: ScenarioRun,
  scenario: Scenario,
  checks: RunChecks,
  endFaults: () => void,
  states: { readonly watch: StateWatch; readonly queue: () => WatchedQueue | undefined } | undefined,
): Promise<void> {
  const opened = (await carriedThrough(run, run.open())) === 'stopped';
  if (opened) {
    states?.watch.begin(run, states.queue());
    run.begin();
  }
  const { incidents } = run;
  // Where every client lost its session before it could begin, nothing is left to do.
  const begun = opened && !(incidents.any && run.clients.idle);
  const end = begun ? await carriedThrough(run, run.clients.work()) : opened ? 'stopped' : 'quiet';
  endFaults();

  const result = run.result(opened, end);
  run.conclude(result);
  const { outcome, explanation } = result;
  const through = incidents.any ? end === 'stopped' : outcome === 'finished';
  const full = incidents.lostThreads > 0 && incidents.threads.free === 0 && outcome === 'deadlock';
  checks.break('memoryHeld', ...run.journal.memoryGone);
  checks.break('dataArrived', ...run.journal.notArrived);
  checks.break('answersChecked', ...takenForGood(run, scenario));
  checks.break('unhurt', ...hurtWithoutCause(run, scenario));
  if (through) {
    states?.watch.beginClosing();
    await judgeEnd(run, scenario, checks);
  } else if (!full) {
    // Whoever is stuck keeps what it has.
    checks.break('finished', outcome, ...explanation);
  }
  checks.break('callsAnsweredOnce', ...incidents.wrongAnswers);
}

/** Until the work is done, or nothing can move although whoever waits in vain was killed. */
async function carriedThrough(run: ScenarioRun, work: Promise<void>): Promise<RunEnd> {
  let end = await run.until(work);
  while (end !== 'stopped' && run.giveUpTheForsaken()) end = await run.until(work);
  return end;
}

/** Everybody came through: what is left when first the dead, then all others have gone, and can a newcomer begin? */
async function judgeEnd(run: ScenarioRun, scenario: Scenario, checks: RunChecks): Promise<void> {
  if (!(await run.buryTheDead())) {
    const kept = run.clients.deaths.filter(({ released }) => released === undefined).map(({ label }) => label);
    checks.break('everythingReturned', `${kept.join(', ')} died, and their resources are not released`);
    return;
  }
  if (knowsItsSessions(scenario) && !run.incidents.panicked && run.incidents.hung.size === 0) {
    const open = run.sessionsInSecureWorld - run.incidents.deniedTo.session;
    const held = run.clients.sessionsHeld;
    if (open !== held)
      checks.break('sessionsInOrder', `${open} sessions are open in secure world, but clients know of ${held}`);
  }
  const { deniedTo, panicked, hung } = run.incidents;
  if (!(await run.leave())) {
    checks.break('everythingReturned', 'a client cannot exit');
    return;
  }
  // A client that hangs in secure world keeps what it has as long as that runs: its thread, its session, a reservation.
  if (hung.size > 0) return;
  // An application that takes one client still has the one whose session the driver was told of as refused.
  if (!panicked && deniedTo.session === 0) checks.break('usableAgain', ...(await run.unusable()));
  const left = await run.close();
  // A dead secure world keeps what it had, and what the driver was told that it refused it cannot ask back.
  const sessions = panicked ? 0 : left.sessions - deniedTo.session;
  const sharedMemoryObjects = panicked ? 0 : left.sharedMemoryObjects - deniedTo.memory;
  // What secure world says that it does not let go of stays allocated.
  const sharedMemoryBytes = panicked || deniedTo.release > 0 ? 0 : left.sharedMemoryBytes;
  if (sessions > 0 || sharedMemoryObjects > 0 || sharedMemoryBytes > 0)
    checks.break(
      'everythingReturned',
      `${sessions} sessions, ${sharedMemoryObjects} objects and ${sharedMemoryBytes} bytes of shared memory`,
    );
  checks.atEnd();
}

/** The invocation that a message is of: applications of the file are told its number in their first parameter. */
function invocationOf({ applications }: Scenario, message: MsgArg): number | undefined {
  if ([...applications.values()].some(({ kind }) => kind === 'shipped')) return undefined;
  return message.paramCount > 0 && message.attr(0) === OpteeMsgAttr.valueInput ? message.a(0) : undefined;
}

/** Invocations of a client that could have made the call that has just begun: all that have not ended. */
function invocationsOf({ journal }: ScenarioRun, label: string): Invocation[] {
  return [...journal.openInvocations].filter((each) => each.label === label && each.command !== 'open session');
}

/** Sessions, memory, pages for messages or interrupts come and go in the middle of calls: there is more to order than calls alone. */
export function comesAndGoes({ clients, secureWorld }: Scenario): boolean {
  if (!secureWorld.reservedShm) return true;
  return [...clients.values()].some(
    ({ steps, threadOf }) => threadOf !== undefined || steps.some(({ step }) => step !== 'invoke' && step !== 'wait'),
  );
}

/** Every session of a client is known: applications are those of the file, and all calls come to an end. */
function knowsItsSessions({ applications, clients }: Scenario): boolean {
  return (
    [...applications.values()].every(({ kind }) => kind !== 'shipped') &&
    [...clients.values()].every(({ repeat }) => Number.isFinite(repeat))
  );
}
