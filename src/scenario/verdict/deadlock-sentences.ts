import type { DisciplineName } from '../../optee/call-queue/call-queue.js';
import { formatTime } from '../duration.js';
import type { OpenCall } from '../run/run-journal.js';
import type { Evidence } from './explanation.js';
import { cycleIn, type Need } from './needs.js';
import { callName, callNumbers, capital, listed, predicament } from './predicament.js';

/** A deadlock in words: first the circle in one sentence, then who holds which thread and waits for what. */
export function deadlockSentences(
  evidence: Evidence,
  needs: ReadonlyMap<OpenCall, Need>,
  stuck: ReadonlySet<OpenCall>,
): string[] {
  const cycle = cycleIn(stuck, needs);
  const holders = [...stuck]
    .filter(({ thread }) => thread !== undefined)
    .sort((one, other) => (one.thread ?? 0) - (other.thread ?? 0));
  const sleepers = cycle.filter(({ thread, state }) => thread === undefined && state.at === 'queue');
  const behind = [...stuck].filter((call) => call.thread === undefined && !sleepers.includes(call));
  return [
    summary(evidence, holders, sleepers),
    ...holders.map((call) => `  thread ${call.thread}: ${callName(call)}: ${predicament(call, needs.get(call))}`),
    ...sleepers.map((call) => `  queue:    ${callName(call)}: ${whyAsleep(evidence, call)}`),
    ...(behind.length === 0 ? [] : [`${behind.length} more asleep in the queue behind ${callNumbers(sleepers)}.`]),
    ...reservationSentences(evidence),
  ];
}

function summary({ freeThreads }: Evidence, holders: readonly OpenCall[], sleepers: readonly OpenCall[]): string {
  if (sleepers.length === 0) return `${capital(callNumbers(holders))} wait for each other, for ever:`;
  const needed = sleepers.map(callName).join(' and ');
  const threads =
    freeThreads.length === 0
      ? holders.length === 1
        ? 'the only thread'
        : `all ${holders.length} threads`
      : 'the threads it could have';
  return `${capital(needed)} sleeps for want of a thread, and the calls that hold ${threads} wait for it:`;
}

/** Why a sleeper may not enter, in the terms of its discipline. */
function whyAsleep({ queue, queueState, freeThreads, from }: Evidence, { state, system }: OpenCall): string {
  const counters = Object.entries(queueState?.counters ?? {}).flatMap(([name, count]) =>
    decisive[queue].includes(name) ? [`${name} ${count}`] : [],
  );
  const counted = counters.length === 0 ? '' : ` (${counters.join(', ')})`;
  const since = state.at === 'queue' ? ` since ${formatTime(state.since - from)}` : '';
  if (freeThreads.length > 0 && !system)
    return `asleep${since}; the thread that is free is kept for system sessions${counted}`;
  if (state.at === 'queue' && state.limit) return `asleep${since}, when secure world answered ETHREAD_LIMIT`;
  return `asleep${since}; no thread is left to claim${counted}`;
}

/** The counters by which a discipline decides who may enter. */
const decisive: Readonly<Record<DisciplineName, readonly string[]>> = {
  'linux-6.7': [],
  'patch-v6': ['free_normal_thread_count'],
  'linux-6.8': ['free_thread_count', 'sys_thread_req_count'],
  'hand-off': ['free', 'reservations'],
  'hand-off-a': ['free', 'reservations'],
  'hand-off-c': ['free', 'reservations'],
};

/** What a reservation did not do here. */
function reservationSentences({ queue, systemSessions: { asked, granted }, scenario }: Evidence): string[] {
  const clients = [...scenario.clients.values()];
  const system = clients.filter((client) => client.system).map(({ name }) => name);
  if (asked === 0)
    return clients.some(({ passive }) => passive)
      ? ['Nobody asked for a system session: no thread is kept for the calls that the others wait for.']
      : [];
  if (queue === 'linux-6.7')
    return [`Linux up to 6.7 has no system sessions: no thread is kept for ${listed(system)}.`];
  if (granted < asked)
    return [
      `${asked - granted} of ${asked} system sessions refused: too few threads, or secure world does not say how many.`,
    ];
  return [];
}
