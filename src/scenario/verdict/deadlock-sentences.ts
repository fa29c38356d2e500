import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import { formatTime } from '../duration.js';
import type { OpenCall } from '../journal/run-journal.js';
import type { Circle } from './circle.js';
import { cureSentences } from './cure-sentences.js';
import type { Evidence } from './evidence.js';
import type { Need } from './needs.js';
import { callName, callNumbers, capital, describeWait } from './wait-description.js';

/** The maximum number of named victims. */
const mostNamed = 6;

/** A deadlock in sentences: the cycle, what each of its calls waits for, when it closed, and possible cures. */
export function deadlockSentences(
  evidence: Evidence,
  needs: ReadonlyMap<OpenCall, Need>,
  { calls, victims, closedAt, closedBy }: Circle,
): string[] {
  const holders = calls
    .filter(({ thread }) => thread !== undefined)
    .sort((one, other) => (one.thread ?? 0) - (other.thread ?? 0));
  const sleepers = calls.filter(({ state }) => state.at === 'queue');
  const others = calls.filter((call) => !holders.includes(call) && !sleepers.includes(call));
  return [
    summary(evidence, calls, holders, sleepers),
    ...holders.map((call) => `  thread ${call.thread}: ${callName(call)}: ${describeWait(call, needs.get(call))}`),
    ...sleepers.map((call) => `  queue:    ${callName(call)}: ${whyAsleep(evidence, call)}`),
    ...others.map((call) => `  ${callName(call)}: ${describeWait(call, needs.get(call))}`),
    `The cycle closed at ${formatTime(closedAt - evidence.from)}, with ${callName(closedBy)}.`,
    ...victimSentences(victims),
    ...cureSentences(evidence, sleepers),
  ];
}

function summary(
  { freeThreads }: Evidence,
  calls: readonly OpenCall[],
  holders: readonly OpenCall[],
  sleepers: readonly OpenCall[],
): string {
  if (sleepers.length === 0 && calls.length === 1) return `${capital(callNumbers(calls))} waits for itself, for ever:`;
  if (sleepers.length === 0) return `${capital(callNumbers(calls))} wait for each other, for ever:`;
  const needed = sleepers.map(callName).join(' and ');
  const threads =
    freeThreads.length === 0
      ? holders.length === 1
        ? 'the only thread'
        : `all ${holders.length} threads`
      : 'the threads that it may use';
  const [sleep, it] = sleepers.length === 1 ? ['sleeps', 'it'] : ['sleep', 'them'];
  return `${capital(needed)} ${sleep} because no thread is free, and the calls that hold ${threads} wait for ${it}:`;
}

function victimSentences(victims: readonly OpenCall[]): string[] {
  if (victims.length === 0) return [];
  const names = victims.length > mostNamed ? '' : `: ${callNumbers(victims)}`;
  const asleep = victims.filter(({ state }) => state.at === 'queue').length;
  const where =
    asleep === 0 ? '' : asleep === victims.length ? ', asleep in the queue' : `, ${asleep} of them asleep in the queue`;
  return [
    `${victims.length} more ${victims.length === 1 ? 'call waits' : 'calls wait'} behind this cycle${where}${names}.`,
  ];
}

/** Why a sleeping call may not enter, in terms of its discipline. */
function whyAsleep({ queue, queueState, freeThreads, from }: Evidence, { state, system }: OpenCall): string {
  const counters = Object.entries(queueState?.counters ?? {}).flatMap(([name, count]) =>
    decisive[queue].includes(name) ? [`${name} ${count}`] : [],
  );
  const counted = counters.length === 0 ? '' : ` (${counters.join(', ')})`;
  const since = state.at === 'queue' ? ` since ${formatTime(state.since - from)}` : '';
  if (freeThreads.length > 0 && !system) return `asleep${since}; the free thread is kept for system sessions${counted}`;
  if (state.at === 'queue' && state.limit) return `asleep${since}, when secure world answered ETHREAD_LIMIT`;
  return `asleep${since}; no thread is left to claim${counted}`;
}

/** The counters with which a discipline decides which calls may enter. */
const decisive: Readonly<Record<DisciplineName, readonly string[]>> = {
  'linux-6.7': [],
  'patch-v6': ['free_normal_thread_count'],
  'linux-6.8': ['free_thread_count', 'sys_thread_req_count'],
  'hand-off': ['free', 'reservations'],
  'hand-off-a': ['free', 'reservations'],
  'hand-off-c': ['free', 'reservations'],
};
