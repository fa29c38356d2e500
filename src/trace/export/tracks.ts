import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { rpcCommandNotRecorded } from '../event.js';
import { rpcName } from '../rpc-name.js';
import { clientRows } from '../timeline/client-rows.js';
import { SpanRows } from '../timeline/number-heap.js';
import { CallState, type Segment, type Timeline } from '../timeline/timeline.js';

/** The items of a trace viewer: track groups, tracks with slices, instants, counters, and flows between slices. */
export type TrackItem =
  | { readonly kind: 'group'; readonly id: number; readonly name: string }
  | { readonly kind: 'track'; readonly id: number; readonly group: number; readonly name: string }
  | { readonly kind: 'counter'; readonly id: number; readonly group: number; readonly name: string }
  | Slice
  | { readonly kind: 'instant'; readonly track: number; readonly time: number; readonly name: string }
  | { readonly kind: 'count'; readonly counter: number; readonly time: number; readonly value: number };

/** Times in milliseconds. The slices of a track are disjoint or nested, the outer one first. */
export interface Slice {
  readonly kind: 'slice';
  readonly track: number;
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly details: Readonly<Record<string, string | number>>;
  /** Flows that begin at this slice's beginning, and flows that end there. A flow does not end before it begins. */
  readonly flowsOut: readonly number[];
  readonly flowsIn: readonly number[];
  /** Nested slices. */
  readonly inner: readonly Slice[];
}

/** Commands that the driver serves itself; the supplicant serves the others. */
const kernelCommands: ReadonlySet<number> = new Set([
  RpcCommand.getTime,
  RpcCommand.notification,
  RpcCommand.suspend,
  RpcCommand.shmFree,
  RpcCommand.i2cTransfer,
  rpcCommandNotRecorded,
]);

const group = { secure: 1, clients: 2, services: 3 } as const;
const eventsTrack = 4;
const asleepCounter = 5;
const firstThreadTrack = 1000;
const firstServiceTrack = 100_000_000;
const firstClientTrack = 10_000;

/**
 * Convert a timeline to tracks: secure world's threads with the calls that hold them, clients with the states of their
 * calls, and services with the RPCs that they answer. Flows lead from each RPC to its answer and to the call that this
 * answer needs, from each call to the call that it woke, and from a notification to the call that waited for it. The
 * slices of a track are in order, and the beginning of a flow precedes its end, because readers keep the order of items
 * with the same time.
 */
export function* tracks(timeline: Timeline): Generator<TrackItem> {
  const { table } = timeline;
  yield { kind: 'group', id: group.secure, name: `secure world (${table.subject.world ?? 'OP-TEE'})` };
  yield { kind: 'group', id: group.clients, name: 'normal world: clients' };
  yield { kind: 'group', id: group.services, name: 'normal world: answers to RPCs' };
  for (let thread = 0; thread < timeline.threads; thread++)
    yield { kind: 'track', id: firstThreadTrack + thread, group: group.secure, name: `thread ${thread}` };
  yield { kind: 'track', id: eventsTrack, group: group.secure, name: 'console, faults, marks' };
  yield { kind: 'counter', id: asleepCounter, group: group.clients, name: 'asleep in the call queue' };

  const { row, rows } = clientRows(timeline);
  const firstRow: number[] = [];
  let next = firstClientTrack;
  for (const [client, name] of timeline.clients.entries()) {
    firstRow.push(next);
    const count = rows[client] ?? 0;
    for (let index = 0; index < count; index++)
      yield { kind: 'track', id: next++, group: group.clients, name: index === 0 ? name : `${name} (${index + 1})` };
  }
  const flows = new Flows(timeline);
  yield* threadSlices(timeline, flows);
  yield* answers(timeline, flows);
  yield* noteMarks(timeline, flows);
  for (let call = 0; call < timeline.callCount; call++) {
    const track = (firstRow[timeline.callClient.at(call)] ?? 0) + (row[call] ?? 0);
    yield* clientSlices(timeline, flows, call, track);
  }
  yield* asleepCounts(timeline);
}

/** The calls of each thread, in order of entry. */
function* threadSlices(timeline: Timeline, flows: Flows): Generator<TrackItem> {
  const { callThread, callEnteredRecord } = timeline;
  const held = Array.from({ length: timeline.callCount }, (_, call) => call).filter((call) => callThread.at(call) >= 0);
  held.sort((one, other) => callEnteredRecord.at(one) - callEnteredRecord.at(other));
  for (const call of held) {
    const track = firstThreadTrack + callThread.at(call);
    const inner: Slice[] = [];
    for (const [index, { start, end, state, command, rpcFunction }] of numberedSegments(timeline, call))
      if (state === CallState.rpc)
        inner.push(
          slice({ track, start, end, name: rpcName(command, rpcFunction), flowsOut: [flows.answerOf(index)] }),
        );
    const name = `${timeline.clientOf(call)}: ${callName(timeline, call)}`;
    const [start, end] = [timeline.callEntered.at(call), timeline.callEnd.at(call)];
    yield slice({ track, start, end, name, details: callDetails(timeline, call), inner });
  }
}

/** The answer to each RPC, from the beginning of the RPC. */
function* answers(timeline: Timeline, flows: Flows): Generator<TrackItem> {
  const services = new ServiceTracks();
  for (let index = 0; index < timeline.segmentCount; index++) {
    const { state, command, rpcFunction, start, end, call } = timeline.segment(index);
    if (state !== CallState.rpc) continue;
    const service = services.take(kernelCommands.has(command) ? 'kernel' : 'supplicant', start, end);
    const { track } = service;
    if (service.fresh) yield { kind: 'track', id: track, group: group.services, name: service.name };
    const details = { call: timeline.callNumber.at(call) };
    const flowsIn = [flows.answerOf(index)];
    yield slice({
      track,
      start,
      end,
      name: rpcName(command, rpcFunction),
      details,
      flowsIn,
      flowsOut: flows.fromAnswer(index),
    });
  }
}

/** Console lines, faults and marks; and notifications, as slices of length 0, because only slices can have flows. */
function* noteMarks(timeline: Timeline, flows: Flows): Generator<TrackItem> {
  for (const record of timeline.notes)
    for (const event of timeline.table.eventsAt(record)) {
      const { type, time, ...rest } = event;
      const name = `${type}: ${Object.values(rest).join(' ')}`;
      const flowsOut = flows.fromInterrupt(record);
      if (flowsOut.length === 0) yield { kind: 'instant', track: eventsTrack, time, name };
      else yield slice({ track: eventsTrack, start: time, end: time, name, flowsOut });
    }
}

/** The states of a call, on its client's track. */
function* clientSlices(timeline: Timeline, flows: Flows, call: number, track: number): Generator<TrackItem> {
  const inner: Slice[] = [];
  for (const [index, { start, end, state, command, rpcFunction }] of numberedSegments(timeline, call)) {
    if (state === CallState.door) continue;
    const name =
      state === CallState.rpc
        ? rpcName(command, rpcFunction)
        : state === CallState.queue
          ? 'asleep in the queue'
          : 'in secure world';
    inner.push(slice({ track, start, end, name, flowsIn: flows.toSegment(index) }));
  }
  const [start, end] = [timeline.callBegin.at(call), timeline.callEnd.at(call)];
  const [flowsOut, flowsIn] = [flows.fromCall(call), flows.toCall(call)];
  const details = callDetails(timeline, call);
  yield slice({ track, start, end, name: callName(timeline, call), details, flowsOut, flowsIn, inner });
}

const nothing: Readonly<Record<string, never>> = {};
const noSlices: readonly Slice[] = [];

function slice({
  track,
  start,
  end,
  name,
  details = nothing,
  flowsOut = none,
  flowsIn = none,
  inner = noSlices,
}: Partial<Slice> & Pick<Slice, 'track' | 'start' | 'end' | 'name'>): Slice {
  return { kind: 'slice', track, start, end, name, details, flowsOut, flowsIn, inner };
}

function* numberedSegments(timeline: Timeline, call: number): Generator<readonly [number, Segment]> {
  for (let index = timeline.callFirstSegment.at(call); index >= 0; index = timeline.segmentNext.at(index))
    yield [index, timeline.segment(index)];
}

const none: readonly number[] = [];

/** The flows of a timeline, by the slices that they connect. */
class Flows {
  private readonly outOfAnswer = new Map<number, number[]>();
  private readonly outOfInterrupt = new Map<number, number[]>();
  private readonly outOfCall = new Map<number, number[]>();
  private readonly intoCall = new Map<number, number[]>();
  private readonly intoSegment = new Map<number, number[]>();
  private next: number;

  constructor(private readonly timeline: Timeline) {
    // The first numbers are for flows from an RPC to its answer.
    this.next = timeline.segmentCount + 1;
    for (const { by, call, record } of timeline.wakeUps)
      if (by >= 0) this.lead(this.outOfCall, by, this.intoSegment, this.segmentFrom(call, record));
    for (const { by, call, sentRecord, answeredRecord } of timeline.notifications) {
      const woken = this.segmentFrom(call, answeredRecord);
      if (by < 0) this.lead(this.outOfInterrupt, sentRecord, this.intoSegment, woken);
      else this.lead(this.outOfAnswer, this.rpcAt(by, sentRecord), this.intoSegment, woken);
    }
    for (const [call, waits] of timeline.rpcWaits)
      for (const { needs, record } of waits) {
        const answer = this.rpcAt(call, record);
        // Calls that began earlier are waited for, but not caused by this answer.
        if (needs < 0 || answer < 0 || timeline.callBeginRecord.at(needs) < timeline.segmentStartRecord.at(answer))
          continue;
        this.lead(this.outOfAnswer, answer, this.intoCall, needs);
      }
  }

  answerOf(segment: number): number {
    return segment + 1;
  }

  fromAnswer = (segment: number) => this.outOfAnswer.get(segment) ?? none;
  fromInterrupt = (record: number) => this.outOfInterrupt.get(record) ?? none;
  fromCall = (call: number) => this.outOfCall.get(call) ?? none;
  toCall = (call: number) => this.intoCall.get(call) ?? none;
  toSegment = (segment: number) => this.intoSegment.get(segment) ?? none;

  private lead(out: Map<number, number[]>, from: number, into: Map<number, number[]>, to: number): void {
    if (from < 0 || to < 0) return;
    const flow = this.next++;
    append(out, from, flow);
    append(into, to, flow);
  }

  /** The first segment of a call, other than state `door`, that begins at a record or later; -1 if there is none. */
  private segmentFrom(call: number, record: number): number {
    const { timeline } = this;
    const before = timeline.segmentAt(call, record - 1);
    let index = before < 0 ? timeline.callFirstSegment.at(call) : timeline.segmentNext.at(before);
    while (index >= 0 && timeline.segmentState.at(index) === CallState.door) index = timeline.segmentNext.at(index);
    return index;
  }

  /** The RPC of a call at a record; -1 if there is none. */
  private rpcAt(call: number, record: number): number {
    const { timeline } = this;
    const index = timeline.segmentAt(call, record);
    const inRpc = index >= 0 && timeline.segmentState.at(index) === CallState.rpc;
    return inRpc && timeline.segmentEndRecord.at(index) > record ? index : -1;
  }
}

function append(lists: Map<number, number[]>, at: number, value: number): void {
  const list = lists.get(at);
  if (list === undefined) lists.set(at, [value]);
  else list.push(value);
}

/** `invoke, session 3`. */
export function callName(timeline: Timeline, call: number): string {
  const session = timeline.callSession.at(call);
  const known = timeline.purposeOf(call);
  // A board's record does not show the purpose of a call.
  const asked = known === 'unknown' ? 'call' : known;
  return session === 0 ? asked : `${asked}, session ${session}`;
}

function callDetails(timeline: Timeline, call: number): Record<string, string | number> {
  const uuid = timeline.sessionUuid.get(timeline.callSession.at(call));
  return {
    call: timeline.callNumber.at(call),
    ...(uuid === undefined ? {} : { application: uuid }),
    ...(timeline.callSystem.at(call) === 1 ? { system: 'yes' } : {}),
    ...(timeline.callThread.at(call) >= 0 && timeline.callThreadKnown.at(call) === 0 ? { thread: 'inferred' } : {}),
    ...(timeline.isUnfinished(call) ? { unfinished: 'yes' } : {}),
  };
}

function* asleepCounts(timeline: Timeline): Generator<TrackItem> {
  const changes: [number, number][] = [];
  for (let index = 0; index < timeline.segmentCount; index++)
    if (timeline.segmentState.at(index) === CallState.queue)
      changes.push([timeline.segmentStart.at(index), 1], [timeline.segmentEnd.at(index), -1]);
  changes.sort(([a], [b]) => a - b);
  let value = 0;
  for (const [time, change] of changes) {
    value += change;
    yield { kind: 'count', counter: asleepCounter, time, value };
  }
}

/** Overlapping answers are distributed to several tracks. */
class ServiceTracks {
  private readonly rows = new Map<string, SpanRows>();
  private tracks = 0;
  private readonly ids = new Map<string, number[]>();

  take(service: string, start: number, end: number): { track: number; name: string; fresh: boolean } {
    const rows = this.rows.get(service) ?? new SpanRows();
    this.rows.set(service, rows);
    const ids = this.ids.get(service) ?? [];
    this.ids.set(service, ids);
    const index = rows.take(start, end);
    const known = ids[index];
    const track = known ?? firstServiceTrack + this.tracks++;
    ids[index] = track;
    return { track, name: index === 0 ? service : `${service} (${index + 1})`, fresh: known === undefined };
  }
}
