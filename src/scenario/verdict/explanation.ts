import type { RunEnd } from '../../clock/virtual-clock.js';
import type { DisciplineName, QueueState } from '../../optee/call-queue/call-queue.js';
import { formatTime } from '../duration.js';
import type { ClientRecord } from '../run/clients.js';
import type { OpenCall, RunJournal } from '../run/run-journal.js';
import type { ApplicationStep, Scenario } from '../scenario.js';
import type { ClientResult, Outcome } from '../scenario-result.js';
import { deadlockSentences } from './deadlock-sentences.js';
import { deadlocked, letInAndAsleep, type Need, needsOf } from './needs.js';
import { callName, callNumbers, capital, listed, predicament } from './predicament.js';

/** All that the verdict on a run rests on. */
export interface Evidence {
  readonly scenario: Scenario;
  readonly queue: DisciplineName;
  /** All sessions could be opened. */
  readonly opened: boolean;
  readonly end: RunEnd;
  readonly duration: number;
  /** When the run began, by the clock of its trace, in milliseconds. */
  readonly from: number;
  readonly journal: RunJournal;
  readonly clients: readonly ClientResult[];
  readonly records: ReadonlyMap<string, ClientRecord>;
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  readonly queueState: QueueState | undefined;
  readonly freeThreads: readonly number[];
  readonly withheld: (system: boolean) => number;
  /** No supplicant is there, and none will come. */
  readonly supplicantAbsent: boolean;
  /** The faults that struck, in sentences. */
  readonly incidents: readonly string[];
}

/** The outcome of a run, and why: sentences, those that belong to the one before them indented. */
export function explain(evidence: Evidence): { readonly outcome: Outcome; readonly explanation: readonly string[] } {
  const needs = needsOf(evidence.journal, {
    free: evidence.freeThreads.length,
    withheld: evidence.withheld,
    supplicantAbsent: evidence.supplicantAbsent,
    sends: (call, notification) => stepsOf(evidence.scenario, call).some((step) => sendsIt(step, notification)),
  });
  const stuck = deadlocked(needs);
  if (stuck.size > 0)
    return { outcome: 'deadlock', explanation: [...deadlockSentences(evidence, needs, stuck), ...evidence.incidents] };
  const starved = [
    ...(evidence.opened ? [] : ['Not all sessions could be opened.']),
    ...hopelessSentences(evidence, needs),
    ...evidence.clients.flatMap((client) => lateSentences(evidence, client)),
    ...(evidence.end === 'limit' ? cutSentences(evidence) : []),
  ];
  if (evidence.end === 'quiet' && starved.length === 0) starved.push(...quietSentences(evidence));
  const struck = [...evidence.incidents, ...failureSentences(evidence)];
  if (starved.length > 0) return { outcome: 'starved', explanation: [...starved, ...struck] };
  return { outcome: 'finished', explanation: [...finishedSentences(evidence), ...struck] };
}

/** What a call does in secure world, as far as the scenario describes it. */
function stepsOf(scenario: Scenario, { purpose, invocation }: OpenCall): readonly ApplicationStep[] {
  if (purpose === 'bottom-half') return scenario.secureWorld.bottomHalf;
  const application = scenario.applications.get(invocation?.application ?? '');
  if (application === undefined || application.kind === 'shipped') return [];
  return application.commands.get(invocation?.command ?? '') ?? [];
}

const sendsIt = (step: ApplicationStep, notification: number) =>
  step.step === 'notify' && step.notification === notification;

/** Calls that can never return, whatever the others do; the worst of them, and how many more. */
function hopelessSentences(evidence: Evidence, needs: ReadonlyMap<OpenCall, Need>): string[] {
  const sentences: string[] = [];
  const hopeless = [...needs].flatMap(([call, need]) => (need.need === 'impossible' ? [{ call, why: need.why }] : []));
  for (const { call, why } of hopeless.slice(0, mostDescribed)) {
    const name = capital(callName(call));
    switch (why) {
      case 'lost-wake-up': {
        // While others move, one of them may yet wake it: it counts as starved when that takes too long.
        const { besideFree } = evidence.journal.sleepOf(call);
        const quiet = evidence.end === 'quiet';
        if (!quiet && besideFree < evidence.duration * longBesideFree) break;
        sentences.push(
          `${name} ${quiet ? 'sleeps for ever' : `has slept ${formatTime(besideFree)}`} beside ` +
            `${freeWords(evidence)}: ${whyForgotten(evidence, call)}.`,
          ...passedOverSentences(evidence, call),
        );
        break;
      }
      case 'no-thread':
        if (evidence.end === 'stopped') break;
        sentences.push(`${name} cannot enter although nobody is inside: secure world answers ETHREAD_LIMIT.`);
        break;
      case 'not-notified':
        // While anything moves, an interrupt may bring it.
        if (evidence.end === 'quiet')
          sentences.push(`${name} ${predicament(call, needs.get(call))}, which nobody sends.`);
        break;
      case 'never-answered':
      case 'no-supplicant':
        sentences.push(
          `${name}: ${predicament(call)}${why === 'no-supplicant' ? ', and there is no supplicant' : ''}.`,
        );
        break;
      default:
        why satisfies never;
    }
  }
  const waiting = [...needs.values()].filter(({ need }) => need === 'one-of').length;
  const others = waiting + Math.max(0, hopeless.length - mostDescribed);
  if (sentences.length > 0 && others > 0)
    sentences.push(`${others} more ${others === 1 ? 'call waits' : 'calls wait'} with it.`);
  return sentences;
}

/** What is left when nothing moves any more, and no reason is known. */
function quietSentences({ journal }: Evidence): string[] {
  const calls = [...journal.calls.values()];
  return [
    'Nothing moves any more.',
    ...calls.slice(0, mostDescribed).map((call) => `${capital(callName(call))}: ${predicament(call)}.`),
    ...(calls.length > mostDescribed ? [`${calls.length - mostDescribed} more calls wait with it.`] : []),
  ];
}

/** The part of a run after which a call that sleeps beside a free thread, and still does at the end, is starved. */
const longBesideFree = 0.1;

/** The most calls that are described one by one. */
const mostDescribed = 3;

function freeWords({ freeThreads }: Evidence): string {
  const threads = listed(freeThreads.map(String));
  return freeThreads.length === 1 ? `a free thread (${threads})` : `${freeThreads.length} free threads (${threads})`;
}

/** Why nobody will wake a sleeper although a thread is free for it. */
function whyForgotten({ queueState, queue, journal }: Evidence, call: OpenCall): string {
  const counters = Object.entries(queueState?.counters ?? {})
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
  const counted = counters === '' ? '' : ` (${counters})`;
  if (queue === 'patch-v6' && call.state.at === 'queue' && call.state.limit)
    return (
      'it had claimed a thread, then got ETHREAD_LIMIT; its own claim keeps free_normal_thread_count from rising, ' +
      `and at 0 no normal sleeper is woken${counted}`
    );
  const letIn = letInAndAsleep(call, journal);
  if (letIn.length > 0 && call.state.at === 'queue' && !call.state.limit)
    return `${callNumbers(letIn)} ${letIn.length === 1 ? 'counts as' : 'count as'} inside, but ${letIn.length === 1 ? 'sleeps as well' : 'sleep as well'}${counted}`;
  return `those who returned since have woken nobody who sleeps${counted}`;
}

function passedOverSentences({ from, queue }: Evidence, { passedOver, state }: OpenCall): string[] {
  // There the wake-up would not have been given to a normal call in any case.
  if (passedOver === undefined || (queue === 'patch-v6' && state.at === 'queue' && state.limit)) return [];
  const { time, to, inside } = passedOver;
  return [
    `Swallowed wake-up: when ${callName(passedOver.from)} returned, at ${formatTime(time - from)}, the queue woke ` +
      `${callName(to)}, which was not asleep but ${inside ? 'inside secure world' : 'on its way in'}.`,
  ];
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
  const beside = besideFree > latency / 100 ? `, ${formatTime(besideFree)} of that while a thread was free for it` : '';
  const overtaken = call.overtaken === 0 ? '' : `; ${call.overtaken} that came later were let in before it`;
  sentences.push(
    `${capital(callName(call))} took ${formatTime(latency)}: it slept ${formatTime(asleep)} in the queue${beside}${overtaken}.`,
    ...(toRegister > latency / 100
      ? [
          `Before it, ordinary calls to register its shared memory slept ${formatTime(toRegister)} in the queue${call.system ? ': a thread that is kept for system sessions is not for them' : ''}.`,
        ]
      : []),
    ...(besideFree > latency / 100 ? passedOverSentences(evidence, call) : []),
  );
  return sentences;
}

/** Those who were not through when the time was over. */
function cutSentences({ clients, records, scenario }: Evidence): string[] {
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
      `${name} was not through at the limit of ${formatTime(scenario.limit)}: ${calls} of ${wanted} calls answered, ` +
        `${unanswered} waiting.`,
    ];
  });
}

function failureSentences({ records }: Evidence): string[] {
  return [...records].flatMap(([name, { failures }]) =>
    [...failures].map(([code, count]) => `${count} ${count === 1 ? 'call' : 'calls'} of ${name} failed with ${code}.`),
  );
}

function finishedSentences({ systemSessions: { asked, granted }, journal, queue }: Evidence): string[] {
  if (asked === 0) return [];
  if (granted === 0) return ['No system session was granted; it went well without.'];
  const { enteredByReserve } = journal;
  const one = queue !== 'patch-v6' && queue !== 'hand-off-c';
  const kept =
    one || granted === 1 ? 'one thread is kept for their calls' : `${granted} threads are kept for their calls`;
  const sentences = [`${granted} of ${asked} system sessions granted: ${kept}.`];
  if (enteredByReserve > 0)
    sentences.push(
      `${enteredByReserve} of those calls came when every other thread was taken, and took the one kept free.`,
    );
  return sentences;
}
