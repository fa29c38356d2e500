import type { RunEnd } from '../clock/virtual-clock.js';
import type { DisciplineName, QueueState } from '../optee/call-queue/call-queue.js';
import { rpcCommandName } from '../protocol/optee-rpc-command.js';
import type { ClientRecord } from './clients.js';
import { formatTime } from './duration.js';
import { cycleIn, deadlocked, holdersBeside, type Need, needsOf } from './needs.js';
import type { Invocation, OpenCall, RunJournal, ServiceRequest } from './run-journal.js';
import type { ClientResult } from './run-scenario.js';
import type { Scenario } from './scenario.js';

/** What became of a run. */
export type Outcome =
  /** Everybody came through, in time. */
  | 'finished'
  /** Calls wait for each other, for ever. */
  | 'deadlock'
  /** A call never came through, or too late, without a cycle. */
  | 'starved';

/** All that the verdict on a run rests on. */
export interface Evidence {
  readonly scenario: Scenario;
  readonly queue: DisciplineName;
  readonly end: RunEnd;
  /** When the run ended and when it began, by the clock of its trace, in milliseconds. */
  readonly now: number;
  readonly from: number;
  readonly journal: RunJournal;
  readonly clients: readonly ClientResult[];
  readonly records: ReadonlyMap<string, ClientRecord>;
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  readonly queueState: QueueState | undefined;
  readonly freeThreads: readonly number[];
  readonly withheld: (system: boolean) => number;
}

/** The outcome of a run, and why, in sentences. */
export function explain(evidence: Evidence): { readonly outcome: Outcome; readonly explanation: readonly string[] } {
  const needs = needsOf(evidence.journal, {
    free: evidence.freeThreads.length,
    withheld: evidence.withheld,
    supplicantAbsent: evidence.scenario.faults.supplicantAbsent,
  });
  const stuck = deadlocked(needs);
  if (stuck.size > 0) return { outcome: 'deadlock', explanation: deadlockSentences(evidence, needs, stuck) };
  const hopeless = evidence.end === 'quiet' ? hopelessSentences(evidence, needs) : [];
  const late = evidence.clients.flatMap((client) => lateSentences(evidence, client, needs));
  const cut = evidence.end === 'limit' ? cutSentences(evidence, needs) : [];
  const starved = [...hopeless, ...late, ...cut];
  if (starved.length > 0) return { outcome: 'starved', explanation: [...starved, ...failureSentences(evidence)] };
  return { outcome: 'finished', explanation: [...finishedSentences(evidence), ...failureSentences(evidence)] };
}

/** `call 12 (storage 1, write)`. */
function nameOf({ id, label, invocation, purpose }: OpenCall): string {
  return `call ${id} (${label}, ${invocation?.command ?? purpose})`;
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

function listed(items: readonly string[]): string {
  if (items.length <= 1) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

function numbers(calls: readonly OpenCall[]): string {
  const word = calls.length === 1 ? 'call' : 'calls';
  return `${word} ${listed(calls.map(({ id }) => String(id)))}`;
}

function deadlockSentences(
  evidence: Evidence,
  needs: ReadonlyMap<OpenCall, Need>,
  stuck: ReadonlySet<OpenCall>,
): string[] {
  const cycle = cycleIn(stuck, needs);
  const sentences = cycle.map((call) => `${capital(nameOf(call))} ${predicament(evidence, call)}.`);
  const others = [...stuck].filter((call) => !cycle.includes(call));
  for (const call of others.filter(({ thread }) => thread !== undefined))
    sentences.push(`${capital(nameOf(call))} ${predicament(evidence, call)}.`);
  const sleeper = cycle.find(({ state }) => state.at === 'queue');
  const holders = [...stuck].filter(({ thread }) => thread !== undefined);
  if (sleeper !== undefined)
    sentences.push(
      `So ${numbers([sleeper])} needs a thread that only ${numbers(holders)} can free, and ` +
        `${holders.length === 1 ? 'that one needs' : 'they all need'} ${numbers([sleeper])}: none will ever return.`,
    );
  const behind = others.filter(({ state }) => state.at === 'queue');
  if (behind.length > 0) sentences.push(`${behind.length} more asleep in the queue behind them.`);
  sentences.push(...reservationSentences(evidence));
  return sentences;
}

/** What a call holds, and what it waits for. */
function predicament(evidence: Evidence, call: OpenCall): string {
  const holds = call.thread === undefined ? '' : `holds thread ${call.thread}`;
  const { state } = call;
  switch (state.at) {
    case 'queue':
      return `sleeps in the queue, since ${formatTime(state.since - evidence.from)}: ${whyAsleep(evidence, call, state.limit)}`;
    case 'rpc':
      return `${holds}; ${
        state.request === undefined ? waitsInRpc(evidence, call, state.command) : waitsForRequest(state.request)
      }`;
    case 'secure':
      return `${holds} and executes in secure world`;
    case 'door':
      return 'is about to enter secure world';
    default:
      return state satisfies never;
  }
}

function waitsInRpc({ journal }: Evidence, call: OpenCall, command: number | undefined): string {
  const name = command === undefined ? 'an RPC' : `its RPC ${rpcCommandName(command)}`;
  const executing = holdersBeside(call, journal).filter(({ invocation }) => invocation?.executing);
  return `${name} waits for another thread of OP-TEE${executing.length > 0 ? `: ${numbers(executing)}` : ''}`;
}

function waitsForRequest({ service, waits }: ServiceRequest): string {
  const rpc = `its ${service.toUpperCase()} RPC`;
  switch (waits.for) {
    case 'supplicant':
      return `${rpc} waits for a supplicant`;
    case 'time':
      return `${rpc} is being served`;
    case 'never':
      return `${rpc} is never answered`;
    case 'turn': {
      const holder = waits.holder()?.invocation.call;
      return `${rpc} waits behind that of ${holder === undefined ? 'another' : numbers([holder])}`;
    }
    case 'client': {
      const holder = waits.holder()?.invocation.call;
      return `${rpc} waits for ${waits.client}, which works for ${holder === undefined ? 'another' : numbers([holder])}`;
    }
    case 'invocation':
      return `${rpc} needs ${neededCall(waits.invocation)}`;
    default:
      return waits satisfies never;
  }
}

function neededCall({ call, label, command }: Invocation): string {
  return call === undefined ? `a call of ${label} (${command}), which has no memory for its message yet` : nameOf(call);
}

/** Why a sleeper may not enter, in the terms of its discipline. */
function whyAsleep({ queue, queueState, freeThreads, scenario }: Evidence, call: OpenCall, limit: boolean): string {
  const counters = Object.entries(queueState?.counters ?? {});
  const counted = counters.map(([name, count]) => `${name} ${count}`).join(', ');
  const threads = scenario.secureWorld.threads - scenario.secureWorld.missing;
  if (freeThreads.length > 0 && !call.system) return `the free thread is kept for system sessions (${counted})`;
  if (limit || queue === 'linux-6.7')
    return `secure world answered ETHREAD_LIMIT, ${threads === 1 ? 'its thread is' : `all its ${threads} threads are`} taken`;
  return `no thread is left for it (${counted})`;
}

function reservationSentences({ queue, systemSessions: { asked, granted }, scenario }: Evidence): string[] {
  const system = [...scenario.clients.values()].filter((client) => client.system).map(({ name }) => name);
  if (asked === 0)
    return scenario.clients.size > 0 && [...scenario.clients.values()].some(({ passive }) => passive)
      ? ['No client asked for a system session: no thread is kept for the calls that the others wait for.']
      : [];
  if (queue === 'linux-6.7')
    return [`Linux up to 6.7 has no system sessions: it keeps no thread for ${listed(system)}.`];
  if (granted < asked)
    return [`${asked - granted} of ${asked} system sessions were refused: there were not threads enough to reserve.`];
  return [];
}

/** Calls that can never return, when nothing moves any more. */
function hopelessSentences(evidence: Evidence, needs: ReadonlyMap<OpenCall, Need>): string[] {
  const sentences: string[] = [];
  let behind = 0;
  for (const [call, need] of needs) {
    if (need.need === 'one-of') behind++;
    if (need.need !== 'impossible') continue;
    switch (need.why) {
      case 'lost-wake-up':
        sentences.push(
          `${capital(nameOf(call))} sleeps for ever beside ${freeWords(evidence)}: ${whyForgotten(evidence, call)}.`,
          ...passedOverSentences(evidence, call),
        );
        break;
      case 'no-thread':
        sentences.push(
          `${capital(nameOf(call))} can never enter: secure world answers ETHREAD_LIMIT although nobody is inside.`,
        );
        break;
      case 'never-answered':
      case 'no-supplicant':
        sentences.push(
          `${capital(nameOf(call))} ${predicament(evidence, call)}${need.why === 'no-supplicant' ? ': there is none' : ''}.`,
        );
        break;
      default:
        need.why satisfies never;
    }
  }
  if (behind > 0) sentences.push(`${behind} more ${behind === 1 ? 'call waits' : 'calls wait'} for them.`);
  return sentences;
}

function freeWords({ freeThreads }: Evidence): string {
  return freeThreads.length === 1
    ? `a free thread (${freeThreads[0]})`
    : `free threads (${listed(freeThreads.map(String))})`;
}

/** Why nobody will wake a sleeper although a thread is free for it. */
function whyForgotten({ queueState, queue }: Evidence, call: OpenCall): string {
  const counters = Object.entries(queueState?.counters ?? {})
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
  const limit = call.state.at === 'queue' && call.state.limit;
  const claimed = limit && queue !== 'linux-6.7' ? 'it had claimed a thread and got ETHREAD_LIMIT; ' : '';
  return `${claimed}the calls that returned since woke nobody${counters === '' ? '' : ` (${counters})`}`;
}

function passedOverSentences({ from }: Evidence, { passedOver }: OpenCall): string[] {
  if (passedOver === undefined) return [];
  const { time, to, inside } = passedOver;
  return [
    `At ${formatTime(time - from)}, when ${nameOf(passedOver.from)} returned, its wake-up went to ${nameOf(to)}, ` +
      `which was not asleep but ${inside ? 'inside secure world' : 'on its way in'}: swallowed.`,
  ];
}

function lateSentences(evidence: Evidence, client: ClientResult, needs: ReadonlyMap<OpenCall, Need>): string[] {
  const { deadline } = evidence.records.get(client.name)?.client ?? {};
  if (client.late === 0 || deadline === undefined) return [];
  const total = client.calls + client.unanswered;
  const worst = evidence.records.get(client.name)?.worst;
  const sentences = [
    `${client.late} of ${total} calls of ${client.name} took longer than their deadline of ${formatTime(deadline)}.`,
  ];
  if (worst !== undefined) {
    const { call, latency, asleep, besideFree } = worst;
    sentences.push(
      `The longest, ${nameOf(call)}, took ${formatTime(latency)}: it slept ${formatTime(asleep)} in the queue, ` +
        `${besideFree > 0 ? `${formatTime(besideFree)} of that beside a free thread` : 'while no thread was free for it'}.`,
      ...passedOverSentences(evidence, call),
    );
  }
  void needs;
  return sentences;
}

/** Those who were not through when the time was over. */
function cutSentences(evidence: Evidence, needs: ReadonlyMap<OpenCall, Need>): string[] {
  const sentences: string[] = [];
  for (const client of evidence.clients) {
    const settings = evidence.records.get(client.name)?.client;
    if (settings === undefined || settings.passive || settings.repeat === Number.POSITIVE_INFINITY) continue;
    if (client.unanswered === 0) continue;
    sentences.push(
      `${client.name} was not through at the limit of ${formatTime(evidence.scenario.limit)}: ` +
        `${client.calls} calls answered, ${client.unanswered} not.`,
    );
  }
  const impossible = [...needs].find(([, need]) => need.need === 'impossible');
  return sentences.length > 0 && impossible !== undefined
    ? [...sentences, ...hopelessSentences(evidence, new Map([impossible]))]
    : sentences;
}

function failureSentences({ records }: Evidence): string[] {
  return [...records].flatMap(([name, { failures }]) =>
    [...failures].map(([code, count]) => `${count} ${count === 1 ? 'call' : 'calls'} of ${name} failed: ${code}.`),
  );
}

function finishedSentences({ systemSessions: { asked, granted }, journal }: Evidence): string[] {
  if (asked === 0) return [];
  if (granted === 0) return ['No system session was granted; it went well without.'];
  const { enteredByReserve } = journal;
  const sentences = [`${granted} of ${asked} system sessions granted: a thread is kept for their calls.`];
  if (enteredByReserve > 0)
    sentences.push(
      `${enteredByReserve} system ${enteredByReserve === 1 ? 'call' : 'calls'} took the last free thread, which normal calls had to leave.`,
    );
  return sentences;
}
