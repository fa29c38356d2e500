import { OpteeSmcReturn, smcReturnName } from '../../protocol/optee-smc.js';
import { rpcName } from '../rpc-name.js';
import { CallState, type Timeline } from '../timeline/timeline.js';
import { waitGraph } from './wait-graph.js';
import { deadlockWords } from './wait-words.js';

/** A call that held a thread of secure world for long, or waited for one for long. */
export interface LongCall {
  readonly call: number;
  readonly client: string;
  readonly thread: number;
  /** Relative to the trace's origin (`originMs`), if it has one. */
  readonly beginMs: number;
  /** From its first entry to its end, or to the end of the trace. */
  readonly heldMs: number;
  /** The part of it in RPCs. */
  readonly rpcMs: number;
  readonly unfinished: boolean;
  /** What it is doing at the end of the trace; empty if it has ended. */
  readonly sitsIn: string;
}

export interface Starved {
  readonly client: string;
  readonly calls: number;
  readonly ethreadLimit: number;
  readonly asleepMs: number;
  readonly longestMs: number;
  /** One of its calls sleeps at the end of the trace. */
  readonly asleepAtEnd: boolean;
}

export interface HangReport {
  readonly threads: number;
  /**
   * How the number of threads is known: announced by secure world, named by RPCs, or inferred from the largest number
   * of calls inside.
   */
  readonly threadsFrom: 'announced' | 'recorded' | 'inferred';
  readonly ethreadLimit: number;
  /** Number of calls that ended with another result than OK, by the name of the result. */
  readonly errors: Readonly<Record<string, number>>;
  /** Longest first. */
  readonly holders: readonly LongCall[];
  /** Sorted by total wait, longest first. */
  readonly starved: readonly Starved[];
  /** Calls that have not ended, oldest first. */
  readonly unfinished: readonly LongCall[];
  /**
   * What each call of a deadlock waits for at the end of the trace, one sentence per call; empty if there is no
   * deadlock.
   */
  readonly deadlock: readonly string[];
}

/**
 * A report for the analysis of a hang: which calls held secure world's threads and in what state, and which calls got
 * none.
 */
export function hangReport(timeline: Timeline, most = 10): HangReport {
  const holders: LongCall[] = [];
  const unfinished: LongCall[] = [];
  const errors = new Map<string, number>();
  const starved = new Map<string, { -readonly [K in keyof Starved]: Starved[K] }>();
  const limits = new Map<number, number>();
  for (const record of timeline.threadLimits) {
    const number = timeline.table.call(record);
    limits.set(number, (limits.get(number) ?? 0) + 1);
  }
  for (let call = 0; call < timeline.callCount; call++) {
    const long = longCall(timeline, call);
    if (long.thread >= 0 && long.heldMs > 0) {
      if (holders.length < most || long.heldMs > (holders.at(-1)?.heldMs ?? 0)) {
        holders.push(long);
        holders.sort((a, b) => b.heldMs - a.heldMs);
        holders.length = Math.min(holders.length, most);
      }
    }
    if (long.unfinished) unfinished.push(long);
    else if (timeline.callReturn.at(call) !== OpteeSmcReturn.ok) {
      const error = smcReturnName(timeline.callReturn.at(call));
      errors.set(error, (errors.get(error) ?? 0) + 1);
    }
    const client = timeline.clientOf(call);
    const of = starved.get(client) ?? {
      client,
      calls: 0,
      ethreadLimit: 0,
      asleepMs: 0,
      longestMs: 0,
      asleepAtEnd: false,
    };
    starved.set(client, of);
    of.calls++;
    of.ethreadLimit += limits.get(timeline.callNumber.at(call)) ?? 0;
    let asleep = 0;
    for (const { state, start, end, endRecord } of timeline.segmentsOf(call)) {
      if (state !== CallState.queue) continue;
      asleep += end - start;
      if (endRecord >= timeline.table.length) of.asleepAtEnd = true;
    }
    of.asleepMs += asleep;
    of.longestMs = Math.max(of.longestMs, asleep);
  }
  return {
    threads: timeline.threads,
    threadsFrom: timeline.threadsFrom,
    ethreadLimit: timeline.threadLimits.length,
    errors: Object.fromEntries(errors),
    holders,
    starved: [...starved.values()]
      .filter(({ asleepMs, asleepAtEnd }) => asleepMs > 0 || asleepAtEnd)
      .sort((a, b) => b.asleepMs - a.asleepMs)
      .slice(0, most),
    unfinished: unfinished.slice(0, most),
    deadlock: deadlockWords(timeline, waitGraph(timeline, timeline.table.length - 1)),
  };
}

function longCall(timeline: Timeline, call: number): LongCall {
  let rpcMs = 0;
  let sitsIn = '';
  const unfinished = timeline.isUnfinished(call);
  for (const { state, start, end, command, rpcFunction } of timeline.segmentsOf(call)) {
    if (state === CallState.rpc) rpcMs += end - start;
    if (!unfinished) continue;
    if (state === CallState.queue) sitsIn = 'asleep in the queue';
    else if (state === CallState.secure) sitsIn = 'in secure world';
    else if (state === CallState.rpc) sitsIn = `RPC ${rpcName(command, rpcFunction)}`;
    else sitsIn = 'on its way';
  }
  const entered = timeline.callEntered.at(call);
  return {
    call: timeline.callNumber.at(call),
    client: timeline.clientOf(call),
    thread: timeline.callThread.at(call),
    beginMs: timeline.callBegin.at(call) - (timeline.table.subject.originMs ?? 0),
    heldMs: Number.isNaN(entered) ? 0 : timeline.callEnd.at(call) - entered,
    rpcMs,
    unfinished,
    sitsIn,
  };
}
