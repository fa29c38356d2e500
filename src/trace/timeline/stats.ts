import { callPurposes, type TraceSubject } from '../event.js';
import { kindMask, kindNames } from '../event-codec.js';
import { rpcName } from '../rpc-name.js';
import { callsPerSecond } from './calls-per-second.js';
import { nearestRank } from './nearest-rank.js';
import { overtaken } from './overtaken.js';
import { CallState, type Timeline } from './timeline.js';

/** Distribution of a quantity, in milliseconds. Percentiles by nearest rank. */
export interface Spread {
  readonly count: number;
  readonly total: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
}

export interface TraceStats {
  readonly subject: TraceSubject;
  readonly events: number;
  readonly durationMs: number;
  readonly calls: number;
  /** Number of calls that had not ended at the end of the trace. */
  readonly unfinished: number;
  /** Calls that ended, per second from the first to the last event. */
  readonly callsPerSecond: number;
  readonly threads: number;
  /** For each thread, the part of the time in which it was held, 0..1. */
  readonly threadUse: readonly number[];
  readonly ethreadLimit: number;
  /** Number of wake-ups given to calls that were not asleep. */
  readonly unusedWakeUps: number;
  /**
   * Number of calls that were overtaken in the queue by a later call of the same class, and the largest number of
   * times.
   */
  readonly overtaken: { readonly calls: number; readonly most: number };
  readonly eventsByType: Readonly<Record<string, number>>;
  readonly durationByPurpose: Readonly<Record<string, Spread>>;
  /** Total time asleep in the queue per call, by client, for calls that slept. */
  readonly asleepByClient: Readonly<Record<string, Spread>>;
  readonly rpcByCommand: Readonly<Record<string, Spread>>;
}

/** Statistics of a trace. */
export function traceStats(timeline: Timeline): TraceStats {
  const { table } = timeline;
  const byType: Record<string, number> = {};
  for (let record = 0; record < table.length; record++) {
    const name = kindNames[table.kind(record) & kindMask] ?? 'unknown';
    byType[name] = (byType[name] ?? 0) + 1;
  }
  const durations = new Map<string, number[]>();
  const sleeps = new Map<string, number[]>();
  const rpcs = new Map<string, number[]>();
  const add = (to: Map<string, number[]>, name: string, value: number) => {
    const list = to.get(name);
    if (list === undefined) to.set(name, [value]);
    else list.push(value);
  };
  /** By call: total time in the queue in milliseconds. A call can sleep several times if it was woken in vain. */
  const asleep = new Map<number, number>();
  const held = new Array<number>(timeline.threads).fill(0);
  let unfinished = 0;
  for (let call = 0; call < timeline.callCount; call++) {
    if (timeline.isUnfinished(call)) unfinished++;
    else add(durations, timeline.purposeOf(call), timeline.callEnd.at(call) - timeline.callBegin.at(call));
    const thread = timeline.callThread.at(call);
    if (thread >= 0) held[thread] = (held[thread] ?? 0) + timeline.callEnd.at(call) - timeline.callEntered.at(call);
  }
  for (let index = 0; index < timeline.segmentCount; index++) {
    const state = timeline.segmentState.at(index);
    if (state !== CallState.queue && state !== CallState.rpc) continue;
    const span = timeline.segmentEnd.at(index) - timeline.segmentStart.at(index);
    if (state === CallState.queue) {
      const call = timeline.segmentCall.at(index);
      asleep.set(call, (asleep.get(call) ?? 0) + span);
    } else add(rpcs, rpcName(timeline.segmentCommand.at(index), timeline.segmentRpcFunction(index)), span);
  }
  for (const [call, span] of asleep) add(sleeps, timeline.clientOf(call), span);
  const durationMs = timeline.end - timeline.begin;
  return {
    subject: table.subject,
    events: table.length,
    durationMs,
    calls: timeline.callCount,
    unfinished,
    callsPerSecond: callsPerSecond(timeline.callCount - unfinished, durationMs),
    threads: timeline.threads,
    threadUse: held.map((ms) => (durationMs === 0 ? 0 : ms / durationMs)),
    ethreadLimit: timeline.threadLimits.length,
    unusedWakeUps: timeline.wakeUps.filter(({ unused }) => unused).length,
    overtaken: overtaken(timeline),
    eventsByType: byType,
    durationByPurpose: spreads(durations, callPurposes),
    asleepByClient: spreads(sleeps),
    rpcByCommand: spreads(rpcs),
  };
}

function spreads(lists: Map<string, number[]>, order?: readonly string[]): Record<string, Spread> {
  const names = order?.filter((name) => lists.has(name)) ?? [...lists.keys()];
  return Object.fromEntries(names.map((name) => [name, spread(lists.get(name) ?? [])]));
}

function spread(values: number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  const at = (percent: number) => nearestRank(sorted, percent) ?? 0;
  return {
    count: sorted.length,
    total: sorted.reduce((sum, value) => sum + value, 0),
    median: at(50),
    p99: at(99),
    max: at(100),
  };
}
