import type { LiveCall } from '../../trace/live-state.js';
import { callsPerSecond } from '../../trace/timeline/calls-per-second.js';
import { folded, reportTable } from '../output/print-report.js';
import type { TopSource } from './top-sources.js';
import { ms } from './trace-report.js';

/** A program without new events for this long is reported as quiet. Milliseconds. */
const quietNotedMs = 3000;
/** Smallest number of calls shown, even on a low terminal. */
const fewestCalls = 3;

/** A source at the time of a screen. */
export interface Shown {
  readonly source: TopSource;
  readonly now: number;
  /** Ended calls per second since the last screen; not with --once. */
  readonly recent?: number;
}

interface ShownCall extends LiveCall {
  readonly forMs: number;
}

/** The calls of all sources, oldest first. Each source has a clock of its own. */
function callsOf(shown: readonly Shown[]): ShownCall[] {
  const calls = shown.flatMap(({ source, now }) =>
    [...source.state.calls.values()].map((call) => ({ ...call, forMs: now - call.since })),
  );
  return shown.length === 1 ? calls : calls.sort((one, other) => other.forMs - one.forMs);
}

/** As in `trace stats`, from the first to the last event. */
const average = ({ source: { state } }: Shown) => callsPerSecond(state.ended, state.time - state.begin);

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

export function screenJson(shown: readonly Shown[]) {
  const [first] = shown;
  const calls = callsOf(shown);
  const states = shown.map(({ source }) => source.state);
  return {
    ...first?.source.state.subject,
    time: first?.source.state.time,
    /** The current time of the same clock, and the time since the last event. */
    now: first?.now,
    quietMs: Math.round(first?.source.quietMs ?? 0),
    ended: sum(states.map(({ ended }) => ended)),
    callsPerSecond: Math.round(sum(shown.map(average))),
    /** Since the last update; null with --once. */
    recentCallsPerSecond: shown.some(({ recent }) => recent === undefined)
      ? null
      : Math.round(sum(shown.map(({ recent = 0 }) => recent))),
    inSecureWorld: calls.filter(({ inside }) => inside).length,
    asleep: calls.filter(({ asleep }) => asleep).length,
    ethreadLimit: sum(states.map(({ threadLimits }) => threadLimits)),
    calls: calls.map(({ call, client, since, doing, thread, forMs }) => ({
      ...{ call, client, sinceMs: since, forMs, doing, thread },
    })),
  };
}

/** A screen. @param rows number of available lines. */
export function screenLines(shown: readonly Shown[], rows: number, width: number): string[] {
  const calls = callsOf(shown);
  const head = shown.flatMap((each) => headOf(each)).flatMap((line) => folded(line, width));
  const table = (count: number) =>
    reportTable(
      ['CALL', 'FOR', 'THREAD', 'CLIENT: STATE'],
      calls
        .slice(0, count)
        .map(({ call, forMs, doing, thread, client }) => [
          String(call),
          ms(forMs),
          String(thread ?? '-'),
          `${client}: ${doing}`,
        ]),
      width,
    );
  // A call may take several lines, so show as many calls as fit, and one line for the others.
  let count = Math.min(calls.length, Math.max(fewestCalls, rows));
  while (count > fewestCalls && head.length + table(count).length + (count < calls.length ? 1 : 0) > rows) count--;
  return [...head, ...table(count), ...(calls.length > count ? [`and ${calls.length - count} more`] : [])];
}

function headOf(each: Shown): string[] {
  const { source, now, recent } = each;
  const { state, quietMs, name, notes } = source;
  const { subject } = state;
  const calls = [...state.calls.values()];
  const inside = calls.filter((call) => call.inside).length;
  const asleep = calls.filter((call) => call.asleep).length;
  const threads = subject.threads ?? 0;
  const bar = threads === 0 ? `${inside}` : `[${'#'.repeat(inside).padEnd(threads, '.')}] ${inside} of ${threads}`;
  return [
    `${name}: ${[subject.title, subject.world, subject.queue].filter(Boolean).join(', ')}`,
    `${recent === undefined ? '' : `${Math.round(recent)} calls/s now, `}${Math.round(average(each))} calls/s on average, ended ${state.ended}, RPCs ${state.rpcs}, in ${ms(now - state.begin || 0)}`,
    `threads ${bar}, asleep in the queue ${asleep}, ETHREAD_LIMIT ${state.threadLimits}`,
    ...(quietMs < quietNotedMs ? [] : [`no new events for ${ms(quietMs)}: the program has ended or hangs`]),
    ...(state.lastNote === '' ? [] : [`console: ${state.lastNote}`]),
    ...notes,
    '',
  ];
}
