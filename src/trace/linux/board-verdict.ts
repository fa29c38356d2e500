import { counted } from '../counted.js';
import { rpcName } from '../rpc-name.js';
import { CallState, type Segment, type Timeline } from '../timeline/timeline.js';
import type { TraceVerdict } from '../verdict.js';
import { holdsThread, type WaitGraph, waitGraph } from '../waits/wait-graph.js';
import { deadlockWords } from '../waits/wait-words.js';

/**
 * The verdict on a board's record. `exhausted` is a special case of `stuck`: every thread is held, and at least one
 * call sleeps.
 */
export interface BoardVerdict extends TraceVerdict {
  readonly outcome: 'deadlock' | 'stuck' | 'starved' | 'finished' | 'cut-off' | 'no-calls';
  readonly exhausted: boolean;
}

/**
 * A call that has waited for less than this at the end of the record counts as in progress, not as hanging.
 * Milliseconds.
 */
const hangsFor = 500;
/** Largest number of calls that are described one by one. */
const mostTold = 16;

/** A time in the kernel's format: `100.007100 s`. */
export const atTime = (ms: number) => `${(ms / 1000).toFixed(6)} s`;

function forTime(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 1 ? `${ms.toFixed(1)} ms` : `${Math.round(ms * 1000)} us`;
}

/** The verdict on a record up to its end. */
export function boardVerdict(timeline: Timeline): BoardVerdict {
  const last = timeline.table.length - 1;
  const open = timeline.stateAfter(last);
  const graph = waitGraph(timeline, last, open);
  const { end, threads } = timeline;
  // Stacks may have no times. Then all that is known is the state at one moment.
  const timeless = timeline.begin === end;
  const sinceFor = (start: number) => (timeless ? '' : ` since ${atTime(start)}, for ${forTime(end - start)}`);
  const name = (call: number) => `${timeline.clientOf(call)} #${timeline.callNumber.at(call)}`;
  const holders = open.filter((segment) => holdsThread(timeline, segment));
  const sleepers = open.filter(({ state }) => state === CallState.queue);
  const holderLines = holders.slice(0, mostTold).map((segment) => {
    const { call, state, command, rpcFunction, start } = segment;
    const wait = graph.waits.get(call);
    const thread = timeline.callThread.at(call);
    const place = thread < 0 ? 'a thread' : `thread ${thread}`;
    const doing = state === CallState.secure ? 'in secure world' : `in RPC ${rpcName(command, rpcFunction)}`;
    const through = wait?.kind === 'rpc' && wait.through !== '' ? `; it waits for ${wait.through}` : '';
    return `  ${place}: ${name(call)}, ${doing}${sinceFor(start)}${through}`;
  });
  const sleeperLines = sleepers
    .slice(0, mostTold)
    .map(({ call, start }) => `  ${name(call)} sleeps in the queue${sinceFor(start)}${refusals(timeline, call)}`);
  const since = (parts: readonly { readonly start: number }[]) => latest(parts.map(({ start }) => start));
  const verdict = (
    outcome: BoardVerdict['outcome'],
    explanation: readonly string[],
    hangsSinceMs?: number,
    exhausted = false,
  ): BoardVerdict => ({
    outcome,
    explanation,
    exhausted,
    ...(hangsSinceMs === undefined || timeless ? {} : { hangsSinceMs }),
  });

  if (timeline.callCount === 0)
    return verdict('no-calls', [
      'No call of OP-TEE is in the record, and no task with a stack in it is in one.',
      'If something hangs, either OP-TEE is not the reason, or the stacks of the tasks that call it are missing: `echo w > /proc/sysrq-trigger` prints those that are blocked.',
    ]);
  if (graph.cycle.length > 0) {
    const parts = graph.cycle.flatMap((call) => graph.waits.get(call)?.segment ?? []);
    const closed = since(parts);
    return verdict(
      'deadlock',
      [
        `${graph.cycle.length} calls wait for each other${timeless ? '' : `${sinceFor(closed)} when the record ends`}:`,
        ...deadlockWords(timeline, graph).map((sentence) => `  ${sentence}`),
      ],
      closed,
      holders.length >= threads,
    );
  }
  const first = sleepers[0];
  if (first !== undefined) {
    const asleepSince = earliest(sleepers.map(({ call }) => firstSleep(timeline, call)));
    const overtakers = entrantsSince(timeline, first.call, asleepSince);
    // If others entered at first and then no call did any more, the order in the queue is not the reason.
    const full = holders.length >= threads && threads > 0;
    const quiet = full && end - lastFreed(timeline) >= (end - asleepSince) / 2;
    if (overtakers.calls > 0 && !quiet)
      return verdict(
        'starved',
        [
          `${name(first.call)} sleeps in the queue while others complete: since ${atTime(firstSleep(timeline, first.call))} ${overtakers.calls} calls have entered`,
          `  most of them of ${overtakers.most.join(', ')}`,
          ...sleeperLines,
          ...(holderLines.length > 0 ? ['These hold the threads when the record ends:', ...holderLines] : []),
        ],
        firstSleep(timeline, first.call),
      );
    if (full) {
      const from = latest(holders.map(({ call }) => timeline.callEntered.at(call)));
      return verdict(
        'stuck',
        [
          `${holders.length} of ${threads} threads are held${sinceFor(from)}:`,
          ...holderLines,
          ...sleeperLines,
          ...(timeless ? [] : endsThere(end - earliest(sleepers.map(({ start }) => start)))),
          whatEndsIt(holders, sleepers, graph, name),
        ],
        from,
        true,
      );
    }
    const from = since(sleepers);
    if (threads === 0)
      return verdict(
        'stuck',
        [
          `${sleepers.length} ${sleepers.length === 1 ? 'call sleeps' : 'calls sleep'} in the queue:`,
          ...sleeperLines,
          'Neither tracepoints nor stacks show which calls hold the threads.',
        ],
        from,
      );
    return verdict(
      'starved',
      [
        `${sleepers.length} ${sleepers.length === 1 ? 'call sleeps' : 'calls sleep'} in the queue although ${threads - holders.length} of ${threads} threads are free, as far as the record shows: a wake-up went to another call`,
        ...sleeperLines,
        ...holderLines,
        ...(timeless ? [] : endsThere(end - from)),
      ],
      from,
    );
  }
  const longest = holders.reduce((most, { start }) => Math.max(most, end - start), 0);
  if (longest >= hangsFor) {
    const long = holders.filter(({ start }) => end - start >= hangsFor);
    return verdict(
      'stuck',
      [
        `${long.length} ${long.length === 1 ? 'call does' : 'calls do'} not return; no call waits for a thread:`,
        ...holderLines,
      ],
      earliest(long.map(({ start }) => start)),
    );
  }
  const late = longestSleep(timeline);
  if (late !== undefined && late.asleep >= hangsFor) {
    const overtakers = entrantsSince(timeline, late.call, late.since, timeline.callEntered.at(late.call));
    if (overtakers.calls > 0)
      return verdict('starved', [
        `${name(late.call)} finally completed, but slept ${forTime(late.asleep)} in the queue from ${atTime(late.since)}${refusals(timeline, late.call)}, while ${overtakers.calls} others entered`,
        `  most of them of ${overtakers.most.join(', ')}`,
        ...(holderLines.length > 0 ? ['These hold the threads when the record ends:', ...holderLines] : []),
      ]);
  }
  if (open.length > 0 && timeless)
    return verdict('cut-off', [
      `${counted(open.length, 'call')} in progress when the stacks were taken. They have no times, so it is not known for how long:`,
      ...holderLines,
    ]);
  if (open.length > 0)
    return verdict('cut-off', [
      `The record ends with ${counted(open.length, 'call')} in progress, the longest for ${forTime(longest)}:`,
      ...holderLines,
      ...endsThere(longest),
    ]);
  return verdict('finished', [
    'Every call of the record has returned.',
    ...(late === undefined
      ? []
      : [
          `The longest sleep in the queue was that of ${name(late.call)}, ${forTime(late.asleep)} from ${atTime(late.since)}.`,
        ]),
  ]);
}

/** What must end so that a sleeper can continue, if every thread is held and no cycle is known. */
function whatEndsIt(
  holders: readonly Segment[],
  sleepers: readonly Segment[],
  { waits }: WaitGraph,
  name: (call: number) => string,
): string {
  const rpcs = holders.filter(({ state }) => state === CallState.rpc);
  if (rpcs.length === 0) return 'No call is in an RPC: secure world itself does not finish.';
  const named = (segments: readonly Segment[]) => {
    const names = segments.slice(0, mostTold).map(({ call }) => name(call));
    const more = segments.length > names.length ? ` and ${segments.length - names.length} more` : '';
    return names.join(', ') + more;
  };
  const unknown = rpcs.filter(({ call }) => {
    const wait = waits.get(call);
    return wait?.kind !== 'rpc' || (wait.through === '' && wait.on.length === 0);
  });
  if (unknown.length > 0) {
    const which = unknown.length === 1 ? `the RPC of ${named(unknown)} waits` : `the RPCs of ${named(unknown)} wait`;
    const needs = sleepers.length === 1 ? 'that call' : 'one of those calls';
    return `If what ${which} for needs ${needs}, this is a deadlock: stacks of these tasks (SysRq-w, hung task) in the same import would show it.`;
  }
  const inside = holders.filter(({ state }) => state === CallState.secure);
  if (inside.length > 0)
    return `The stacks show no cycle. All wait for ${named(inside)} to return from secure world; neither tracepoints nor stacks show what it does there.`;
  return 'The stacks show no cycle: no RPC waits for one of the sleeping calls.';
}

/** Tracing ends with the last event; later events are unknown. */
function endsThere(ms: number): readonly string[] {
  if (ms >= hangsFor) return [];
  const end = ms === 0 ? 'with that line' : `${forTime(ms)} after that`;
  return [`The record ends ${end}: if it was read later and nothing more happened, this is where it hangs.`];
}

// Not Math.max(...): there may be more values than a function accepts as arguments.
const latest = (times: readonly number[]) =>
  times.reduce((most, time) => Math.max(most, time), Number.NEGATIVE_INFINITY);
const earliest = (times: readonly number[]) =>
  times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);

/** When a call last released its thread; -Infinity if none did. */
function lastFreed(timeline: Timeline): number {
  let last = Number.NEGATIVE_INFINITY;
  for (let call = 0; call < timeline.callCount; call++)
    if (!timeline.isUnfinished(call) && timeline.callEnd.at(call) > last) last = timeline.callEnd.at(call);
  return last;
}

/** When a call first fell asleep. */
function firstSleep(timeline: Timeline, call: number): number {
  for (const { state, start } of timeline.segmentsOf(call)) if (state === CallState.queue) return start;
  return timeline.callBegin.at(call);
}

function refusals(timeline: Timeline, call: number): string {
  const times = timeline.threadLimitCalls.reduce((count, each) => (each === call ? count + 1 : count), 0);
  return times === 0 ? ', and has not entered' : `, refused ${times === 1 ? 'once' : `${times} times`}`;
}

/** The call that slept longest in the queue in total and has entered since. */
function longestSleep(
  timeline: Timeline,
): { readonly call: number; readonly asleep: number; readonly since: number } | undefined {
  const sleeps = new Map<number, { asleep: number; since: number }>();
  for (let index = 0; index < timeline.segmentCount; index++) {
    if (timeline.segmentState.at(index) !== CallState.queue) continue;
    const call = timeline.segmentCall.at(index);
    const since = timeline.segmentStart.at(index);
    const sleep = sleeps.get(call) ?? { asleep: 0, since };
    sleep.asleep += timeline.segmentEnd.at(index) - since;
    sleeps.set(call, sleep);
  }
  const [longest] = [...sleeps].sort(([, one], [, other]) => other.asleep - one.asleep);
  return longest === undefined ? undefined : { call: longest[0], ...longest[1] };
}

/** The number of other calls that entered secure world after a time, and the clients with most of them. */
function entrantsSince(
  timeline: Timeline,
  but: number,
  time: number,
  until = Number.POSITIVE_INFINITY,
): { readonly calls: number; readonly most: readonly string[] } {
  const clients = new Map<string, number>();
  let calls = 0;
  for (let call = 0; call < timeline.callCount; call++) {
    const entered = timeline.callEntered.at(call);
    if (call === but || !(entered > time) || !(entered < until || Number.isNaN(until))) continue;
    calls++;
    const client = timeline.clientOf(call);
    clients.set(client, (clients.get(client) ?? 0) + 1);
  }
  const most = [...clients].sort(([, one], [, other]) => other - one).slice(0, 3);
  return { calls, most: most.map(([client, count]) => `${client} (${count})`) };
}
