import { rpcName } from '../rpc-name.js';
import { CallState, type Timeline } from '../timeline/timeline.js';
import type { Wait, WaitGraph } from './wait-graph.js';

/** `kernel-clk #14`. */
function callWords(timeline: Timeline, call: number): string {
  return `${timeline.clientOf(call)} #${timeline.callNumber.at(call)}`;
}

/** What a call waits for, as a sentence: `thread 0, storage 1 #12: its RPMB RPC waits for mmc #14`. */
export function waitWords(timeline: Timeline, wait: Wait): string {
  const { call, kind, on, through, segment } = wait;
  const name = callWords(timeline, call);
  const threads = [...new Set(on.map((other) => timeline.callThread.at(other)))]
    .filter((thread) => thread >= 0)
    .sort((a, b) => a - b);
  const held = threads.length === 1 ? `thread ${threads[0]}` : `one of threads ${threads.join(', ')}`;
  const rpc = `${rpcName(segment.command, segment.rpcFunction)} RPC`;
  const place = `thread ${timeline.callThread.at(call)}, ${name}`;
  switch (kind) {
    case 'thread':
      return `${name} sleeps in the queue: it waits for ${held}, and none is free`;
    case 'reserved':
      return `${name} sleeps in the queue: it waits for ${held}; a free thread is kept for system sessions`;
    case 'wake-up':
      return `${name} sleeps in the queue although a thread is free, with no wake-up pending`;
    case 'rpc': {
      const others = on.map((other) => callWords(timeline, other)).join(' or ');
      // The client through which it waits is usually the one that makes the call.
      const way = through === '' || others.startsWith(through) ? '' : ` (${through})`;
      return `${place}: its ${rpc} waits for ${others === '' ? through : `${others}${way}`}`;
    }
    case 'answer':
      return `${place}: its ${rpc} is not answered`;
    default:
      return kind satisfies never;
  }
}

/** Largest number of sentences about a deadlock; the others are counted. */
const mostSentences = 32;

/**
 * Describe the deadlock at a position of a trace: one sentence for each call of its cycle, then one for each other call
 * that holds a thread. Empty if there is none.
 */
export function deadlockWords(timeline: Timeline, { cycle, waits, stuck }: WaitGraph): readonly string[] {
  const inCycle = new Set(cycle);
  const holders = [...stuck].filter(
    (call) =>
      !inCycle.has(call) && timeline.callThread.at(call) >= 0 && waits.get(call)?.segment.state === CallState.rpc,
  );
  holders.sort((one, other) => timeline.callThread.at(one) - timeline.callThread.at(other));
  const told = [...cycle, ...holders].slice(0, mostSentences);
  const sentences = told.flatMap((call) => {
    const wait = waits.get(call);
    return wait === undefined ? [] : [waitWords(timeline, wait)];
  });
  const asleep = [...stuck].filter((call) => waits.get(call)?.segment.state === CallState.queue).length;
  const othersAsleep = asleep - told.filter((call) => waits.get(call)?.segment.state === CallState.queue).length;
  const others = stuck.size - told.length - othersAsleep;
  return [
    ...sentences,
    ...(others === 0 ? [] : [`${others} more in RPCs that wait for them`]),
    ...(othersAsleep === 0 ? [] : [`${othersAsleep} more asleep in the queue behind them`]),
  ];
}
