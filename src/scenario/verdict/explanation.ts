import { formatTime } from '../duration.js';
import { clientResults } from '../journal/client-results.js';
import type { OpenCall } from '../journal/run-journal.js';
import type { ApplicationStep, Scenario } from '../scenario.js';
import type { ClientResult, RunResult } from '../scenario-result.js';
import { firstCircle, waitsSince } from './circle.js';
import { clientsWithoutSession, refusedWords } from './cure-sentences.js';
import { deadlockSentences } from './deadlock-sentences.js';
import type { Evidence } from './evidence.js';
import { hopelessCalls, hopelessSentences, passedOverSentences, quietSentences } from './hopeless-sentences.js';
import { lockCircle, lockSentences } from './lock-sentences.js';
import { needsOf, neverReturning } from './needs.js';
import { callName, capital, listed } from './wait-description.js';

export type Verdict = Pick<RunResult, 'outcome' | 'explanation' | 'hangsSince' | 'withoutSession' | 'clients'>;

/** The outcome of a run with its reasons, as sentences. A sentence that belongs to the one before it is indented. */
export function explain(evidence: Evidence): Verdict {
  const { journal, records, from, duration, end, opened, incidents } = evidence;
  const needs = needsOf(journal, {
    free: evidence.freeThreads.length,
    withheld: evidence.withheld,
    supplicantAbsent: evidence.supplicantAbsent,
    supplicantFrozen: evidence.supplicantFrozen,
    supplicantBusyWith: evidence.supplicantBusyWith,
    sends: (call, notification) => stepsOf(evidence.scenario, call).some((step) => sendsIt(step, notification)),
  });
  const hopeless = hopelessCalls(evidence, needs);
  const lost = neverReturning(needs, new Set(hopeless.map(({ call }) => call)));
  // Memory for a message may have to be registered first, by another call of the same client.
  const registering = new Set([...lost].filter(({ purpose }) => purpose === 'register-shm').map(({ label }) => label));
  const clients = clientResults(
    records.values(),
    journal,
    from + duration,
    ({ call, label }) => end === 'quiet' || (call === undefined ? registering.has(label) : lost.has(call)),
  );
  const verdict = { clients, withoutSession: [], hangsSince: null };
  const struck = [...incidents, ...failureSentences(evidence)];

  const circle = firstCircle(needs);
  if (circle !== undefined) {
    const sleepers = circle.calls.filter(({ state }) => state.at === 'queue');
    return {
      ...verdict,
      outcome: 'deadlock',
      explanation: [...deadlockSentences(evidence, needs, circle), ...lockSentences(evidence, lost), ...incidents],
      hangsSince: circle.closedAt - from,
      withoutSession: clientsWithoutSession(evidence, sleepers),
    };
  }

  const locked = lockCircle(evidence);
  if (locked !== undefined)
    return {
      ...verdict,
      outcome: 'deadlock',
      explanation: [...locked.sentences, ...incidents],
      hangsSince: locked.since,
    };

  const stuck = hopeless.filter(({ why }) => why !== 'lost-wake-up');
  const silent = end === 'quiet' && hopeless.length === 0;
  const late = clients.flatMap((client) => lateSentences(evidence, client));
  const cut = end === 'limit' ? cutSentences(evidence, clients) : [];
  const sentences = [
    ...(opened ? [] : ['Not all sessions could be opened.']),
    ...hopelessSentences(evidence, needs, hopeless),
    ...lockSentences(evidence, lost),
    ...(silent && late.length === 0 ? quietSentences(evidence) : []),
    ...late,
    ...cut,
  ];
  const sessions = systemSessionSentences(evidence);
  const since = hopeless.map(({ call }) => waitsSince(call) - from);
  const hangsSince = since.length === 0 ? null : Math.max(0, Math.min(...since));
  if (stuck.length > 0 || silent)
    return { ...verdict, outcome: 'stuck', explanation: [...sentences, ...sessions, ...struck], hangsSince };
  if (hopeless.length + late.length > 0) {
    const idle = idleSentences(evidence);
    return { ...verdict, outcome: 'starved', explanation: [...sentences, ...sessions, ...idle, ...struck], hangsSince };
  }
  if (cut.length > 0 || !opened)
    return { ...verdict, outcome: 'cut-off', explanation: [...sentences, ...sessions, ...struck] };
  return { ...verdict, outcome: 'finished', explanation: [...sessions, ...reserveSentences(evidence), ...struck] };
}

/** The steps of a call in secure world, as far as the scenario describes them. */
function stepsOf(scenario: Scenario, { purpose, invocation }: OpenCall): readonly ApplicationStep[] {
  if (purpose === 'bottom-half') return scenario.secureWorld.bottomHalf;
  const application = scenario.applications.get(invocation?.application ?? '');
  if (application === undefined || application.kind === 'shipped') return [];
  return application.commands.get(invocation?.command ?? '') ?? [];
}

function sendsIt(step: ApplicationStep, notification: number): boolean {
  if (step.step === 'hold') return step.steps.some((inner) => sendsIt(inner, notification));
  return step.step === 'notify' && step.notification === notification;
}

function lateSentences(evidence: Evidence, client: ClientResult): string[] {
  const record = evidence.records.get(client.name);
  const deadline = record?.client.deadline;
  if (client.late === 0 || deadline === undefined) return [];
  const sentences = [
    `${client.late} of ${client.calls + client.unanswered} calls of ${client.name} took longer than their deadline of ` +
      `${formatTime(deadline)}.`,
  ];
  const worst = record?.worst;
  if (worst === undefined || worst.latency <= deadline) return sentences;
  const { call, latency, asleep, besideFree, toRegister } = worst;
  const beside =
    besideFree > latency / 100 ? `, ${formatTime(besideFree)} of that while it could have used a free thread` : '';
  const overtaken = call.overtaken === 0 ? '' : `; ${call.overtaken} later calls entered before it`;
  sentences.push(
    `${capital(callName(call))} took ${formatTime(latency)}${asleep > 0 || toRegister > 0 ? `: it slept ${formatTime(asleep)} in the queue${beside}${overtaken}` : ' without waiting for a thread: another queue does not help'}.`,
    ...(toRegister > latency / 100
      ? [
          `Before it, ordinary calls to register its shared memory slept ${formatTime(toRegister)} in the queue${call.system ? ': a thread kept for system sessions is not for them' : ''}.`,
        ]
      : []),
    ...(besideFree > latency / 100 ? passedOverSentences(evidence, call) : []),
  );
  return sentences;
}

/** The clients that had not finished at the limit. */
function cutSentences({ records, scenario }: Evidence, clients: readonly ClientResult[]): string[] {
  return clients.flatMap(({ name, calls, unanswered }) => {
    const client = records.get(name)?.client;
    if (client === undefined || client.passive || client.repeat === Number.POSITIVE_INFINITY) return [];
    const wanted =
      (client.count - (records.get(name)?.deaths ?? 0)) *
      client.callers *
      client.repeat *
      client.steps.filter(({ step }) => step === 'invoke').length;
    if (calls >= wanted) return [];
    return [
      `${name} had not finished at the limit of ${formatTime(scenario.limit)}: ${calls} of ${wanted} calls answered, ` +
        `${unanswered} waiting.`,
    ];
  });
}

function failureSentences({ records }: Evidence): string[] {
  return [...records].flatMap(([name, { failures }]) =>
    [...failures].map(([code, count]) => `${count} ${count === 1 ? 'call' : 'calls'} of ${name} failed with ${code}.`),
  );
}

/** The numbers of requested and granted system sessions, if any were requested. */
function systemSessionSentences({ systemSessions: { asked, granted }, queue }: Evidence): string[] {
  if (asked === 0) return [];
  if (granted === 0) return [`No system session was granted, of ${asked} requested.`];
  const one = queue !== 'patch-v6' && queue !== 'hand-off-c';
  const kept =
    one || granted === 1 ? 'one thread is kept for their calls' : `${granted} threads are kept for their calls`;
  const sentence = `${granted} of ${asked} system sessions granted: ${kept}.`;
  return granted === asked ? [sentence] : [sentence, refusedWords(asked, granted)];
}

function reserveSentences({ journal: { enteredByReserve } }: Evidence): string[] {
  if (enteredByReserve === 0) return [];
  return [`${enteredByReserve} of those calls used the reserved thread because all others were taken.`];
}

/** Threads that were not used while calls waited for one. */
function idleSentences({ idleThreads, systemSessions: { granted } }: Evidence): string[] {
  if (idleThreads.length === 0) return [];
  const [name, was] = idleThreads.length === 1 ? ['Thread', 'was'] : ['Threads', 'were'];
  const why = granted > 0 ? ', kept for system sessions' : '';
  return [`${name} ${listed(idleThreads.map(String))} ${was} always free${why}.`];
}
