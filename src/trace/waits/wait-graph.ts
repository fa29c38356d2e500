import { maxThreads } from '../event.js';
import { EventKind, flagBit, kindMask } from '../event-codec.js';
import { CallState, type Segment, type Timeline } from '../timeline/timeline.js';
import { shortestCycle, stuckParties } from './wait-cycle.js';

/** What an open call waits for. Calls are indices of the timeline. */
export interface Wait {
  readonly call: number;
  readonly segment: Segment;
  /**
   * `thread`: it sleeps in the queue until one of `on` releases its thread. `reserved`: the same, while a thread is
   * free but reserved for system sessions. `wake-up`: it sleeps although a thread is free. `rpc`: its RPC waits for
   * `on`. `answer`: its RPC is not answered, and the reason is unknown.
   */
  readonly kind: 'thread' | 'reserved' | 'wake-up' | 'rpc' | 'answer';
  /** Calls of which one must end before it can continue; empty if none is known. */
  readonly on: readonly number[];
  /** The service or client through which its RPC waits, or the name of the RPC. */
  readonly through: string;
}

/** What each call waits for right after a record. */
export interface WaitGraph {
  readonly record: number;
  /** By call. Calls that execute, or that are between states, are not included. */
  readonly waits: ReadonlyMap<number, Wait>;
  /** Calls that wait only for each other: none of them can ever continue. */
  readonly stuck: ReadonlySet<number>;
  /**
   * The shortest cycle among those, beginning with a call asleep in the queue if there is one; each waits for the next.
   */
  readonly cycle: readonly number[];
}

/**
 * What each call waits for right after a record, as far as the trace shows it. Sleepers wait for a thread of secure
 * world. What an RPC waits for is known if an `rpc-wait` event says so, or if it waits for a notification.
 */
export function waitGraph(timeline: Timeline, record: number, open = timeline.stateAfter(record)): WaitGraph {
  const inside = open.filter((segment) => holdsThread(timeline, segment));
  const sleepers = open.filter(({ state }) => state === CallState.queue);
  const free = timeline.threads - inside.length;
  const reserved = reservedThreads(timeline, record);
  const waits = new Map<number, Wait>();
  // All sleepers share the same two lists, because there may be as many sleepers as calls. The queue counts a call that
  // sleeps after ETHREAD_LIMIT as inside.
  const holders = inside.map(({ call }) => call);
  const counted = sleepers.filter((other) => afterThreadLimit(timeline, other)).map(({ call }) => call);
  const others = counted.length === 0 ? holders : [...holders, ...counted];
  for (const segment of sleepers) {
    const { call } = segment;
    const limit = afterThreadLimit(timeline, segment);
    const kept = limit || timeline.callSystem.at(call) === 1 ? 0 : reserved;
    const on = limit ? holders : others;
    const kind = free > kept || on.length === 0 ? 'wake-up' : free > 0 ? 'reserved' : 'thread';
    waits.set(call, { call, segment, kind, on: kind === 'wake-up' ? [] : on, through: '' });
  }
  for (const segment of inside)
    if (segment.state === CallState.rpc) waits.set(segment.call, rpcWait(timeline, record, segment, holders));
  const graph = new Map(Array.from(waits, ([call, { on }]) => [call, on]));
  const stuck = stuckParties(graph);
  const asleep = [...stuck].filter((call) => waits.get(call)?.segment.state === CallState.queue);
  const cycle = shortestCycle(asleep.length > 0 ? asleep : stuck, graph);
  return { record, waits, stuck, cycle };
}

/** Whether the call holds a thread of secure world in this segment, also while its RPC is served. */
export function holdsThread(timeline: Timeline, { call, state, startRecord }: Segment): boolean {
  const held = state === CallState.secure || state === CallState.rpc;
  // Refused with ETHREAD_LIMIT: the call was in secure world, but had no thread.
  return held && !Number.isNaN(timeline.callEntered.at(call)) && startRecord >= timeline.callEnteredRecord.at(call);
}

/** The number of open sessions with a reserved thread. */
export function systemSessionsAfter({ table, sessionRecords }: Timeline, record: number): number {
  const sessions = new Set<number>();
  for (const each of sessionRecords) {
    if (each > record) break;
    const kind = table.kind(each);
    if ((kind & kindMask) === EventKind.sessionClose) sessions.delete(table.a(each));
    else if ((kind & flagBit) !== 0) sessions.add(table.a(each));
  }
  return sessions.size;
}

/** Number of threads that normal calls must leave free: one, or one per system session, depending on the discipline. */
function reservedThreads(timeline: Timeline, record: number): number {
  const { queue = '' } = timeline.table.subject;
  const sessions = systemSessionsAfter(timeline, record);
  const wanted = queue === 'patch-v6' || queue === 'hand-off-c' ? sessions : Math.min(sessions, 1);
  return Math.max(0, Math.min(wanted, timeline.threads - 1));
}

function afterThreadLimit({ table }: Timeline, { startRecord }: Segment): boolean {
  return (table.kind(startRecord) & flagBit) !== 0;
}

function rpcWait(timeline: Timeline, record: number, segment: Segment, inside: readonly number[]): Wait {
  const { call, startRecord } = segment;
  const told = timeline.rpcWaits.get(call)?.findLast((wait) => wait.record <= record);
  if (told !== undefined && told.record >= startRecord && (told.through !== '' || told.needs >= 0)) {
    const on = told.needs >= 0 ? [told.needs] : [];
    return { call, segment, kind: 'rpc', on, through: told.through };
  }
  const value = timeline.awaitedValues.get(startRecord);
  if (value === undefined) return { call, segment, kind: 'answer', on: [], through: '' };
  const through = `notification ${value}`;
  const came = timeline.notificationOf(call, startRecord);
  if (came !== undefined) {
    const on = came.by < 0 || came.sentRecord <= record ? [] : [came.by];
    return { call, segment, kind: 'rpc', on, through };
  }
  // No secure world has this many threads, so the possible senders are unknown.
  if (inside.length > maxThreads) return { call, segment, kind: 'rpc', on: [], through };
  // The notification has not been sent. It may come from any call in the same application, else from any call inside.
  const others = inside.filter((other) => other !== call);
  const application = (each: number) => timeline.sessionUuid.get(timeline.callSession.at(each));
  const own = application(call);
  const same = own === undefined ? [] : others.filter((other) => application(other) === own);
  return { call, segment, kind: 'rpc', on: same.length > 0 ? same : others, through };
}
