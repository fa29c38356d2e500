import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { callPurposes, rpcCommandNotRecorded } from '../event.js';
import { rpcName } from '../rpc-name.js';
import { clientRows } from '../timeline/client-rows.js';
import { SpanRows } from '../timeline/number-heap.js';
import { CallState, type Timeline } from '../timeline/timeline.js';
import { Flows, noFlows } from './flows.js';

/**
 * Writes the items of a trace viewer: track groups, tracks with slices, instants, counters, and flows between slices.
 * Times are in milliseconds.
 */
export interface TrackWriter {
  group(id: number, name: string): void;
  track(id: number, group: number, name: string): void;
  counter(id: number, group: number, name: string): void;
  /**
   * Begin a slice. Nested slices are written before its `endSlice`. The slices of a track are disjoint or nested.
   *
   * @param flowsOut flows that begin at the beginning of this slice. A flow does not end before it begins.
   * @param flowsIn flows that end there.
   */
  beginSlice(
    track: number,
    start: number,
    end: number,
    name: string,
    details: SliceDetails,
    flowsOut: readonly number[],
    flowsIn: readonly number[],
  ): void;
  endSlice(track: number, end: number): void;
  instant(track: number, time: number, name: string): void;
  count(counter: number, time: number, value: number): void;
}

export type SliceDetails = Readonly<Record<string, string | number>>;

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
 * Write a timeline as tracks: secure world's threads with the calls that hold them, clients with the states of their
 * calls, and services with the RPCs that they answer. Flows lead from each RPC to its answer and to the call that this
 * answer needs, from each call to the call that it woke, and from a notification to the call that waited for it. The
 * slices of a track are in order, and the beginning of a flow precedes its end, because readers keep the order of items
 * with the same time. Yields after each call, so that the writer's buffer can be emptied.
 */
export function* writeTracks(timeline: Timeline, writer: TrackWriter): Generator<void> {
  const { table } = timeline;
  writer.group(group.secure, `secure world (${table.subject.world ?? 'OP-TEE'})`);
  writer.group(group.clients, 'normal world: clients');
  writer.group(group.services, 'normal world: answers to RPCs');
  for (let thread = 0; thread < timeline.threads; thread++)
    writer.track(firstThreadTrack + thread, group.secure, `thread ${thread}`);
  writer.track(eventsTrack, group.secure, 'console, faults, marks');
  writer.counter(asleepCounter, group.clients, 'asleep in the call queue');

  const { row, rows } = clientRows(timeline);
  const firstRow: number[] = [];
  let next = firstClientTrack;
  for (const [client, name] of timeline.clients.entries()) {
    firstRow.push(next);
    const count = rows[client] ?? 0;
    for (let index = 0; index < count; index++)
      writer.track(next++, group.clients, index === 0 ? name : `${name} (${index + 1})`);
  }
  const flows = new Flows(timeline);
  const names = new CallTexts(timeline);
  yield* threadSlices(timeline, writer, flows, names);
  yield* answers(timeline, writer, flows);
  yield* notes(timeline, writer, flows);
  for (let call = 0; call < timeline.callCount; call++) {
    clientSlices(
      timeline,
      writer,
      flows,
      names,
      call,
      (firstRow[timeline.callClient.at(call)] ?? 0) + (row[call] ?? 0),
    );
    yield;
  }
  asleepCounts(timeline, writer);
  yield;
}

/** The calls of each thread, in order of entry. */
function* threadSlices(timeline: Timeline, writer: TrackWriter, flows: Flows, names: CallTexts): Generator<void> {
  const { segmentState, segmentStart, segmentEnd, segmentNext } = timeline;
  for (const call of callsByEntry(timeline)) {
    const track = firstThreadTrack + timeline.callThread.at(call);
    const [start, end] = [timeline.callEntered.at(call), timeline.callEnd.at(call)];
    writer.beginSlice(track, start, end, names.ofThread(call), callDetails(timeline, call), noFlows, noFlows);
    for (let index = timeline.callFirstSegment.at(call); index >= 0; index = segmentNext.at(index)) {
      if (segmentState.at(index) !== CallState.rpc) continue;
      const segmentEnds = segmentEnd.at(index);
      writer.beginSlice(
        track,
        segmentStart.at(index),
        segmentEnds,
        rpcOf(timeline, index),
        nothing,
        [flows.answerOf(index)],
        noFlows,
      );
      writer.endSlice(track, segmentEnds);
    }
    writer.endSlice(track, end);
    yield;
  }
}

/** The calls that held a thread, in order of entry. Typed arrays are sorted several times faster than with a function. */
function callsByEntry({ callCount, callThread, callEnteredRecord }: Timeline): Iterable<number> {
  const keys = new Float64Array(callCount);
  let held = 0;
  for (let call = 0; call < callCount; call++)
    if (callThread.at(call) >= 0) keys[held++] = callEnteredRecord.at(call) * callCount + call;
  return keys
    .subarray(0, held)
    .sort()
    .map((key) => key % callCount);
}

/** The answer to each RPC, from the beginning of the RPC. */
function* answers(timeline: Timeline, writer: TrackWriter, flows: Flows): Generator<void> {
  const services = new ServiceTracks();
  for (let index = 0; index < timeline.segmentCount; index++) {
    if (timeline.segmentState.at(index) !== CallState.rpc) continue;
    const [start, end] = [timeline.segmentStart.at(index), timeline.segmentEnd.at(index)];
    const command = timeline.segmentCommand.at(index);
    const { track, name, fresh } = services.take(kernelCommands.has(command) ? 'kernel' : 'supplicant', start, end);
    if (fresh) writer.track(track, group.services, name);
    const details = { call: timeline.callNumber.at(timeline.segmentCall.at(index)) };
    const flowsIn = [flows.answerOf(index)];
    writer.beginSlice(track, start, end, rpcOf(timeline, index), details, flows.fromAnswer(index), flowsIn);
    writer.endSlice(track, end);
    yield;
  }
}

/** Console lines, faults and marks; and notifications, as slices of length 0, because only slices can have flows. */
function* notes(timeline: Timeline, writer: TrackWriter, flows: Flows): Generator<void> {
  for (const record of timeline.notes) {
    for (const event of timeline.table.eventsAt(record)) {
      const { type, time, ...rest } = event;
      const name = `${type}: ${Object.values(rest).join(' ')}`;
      const flowsOut = flows.fromInterrupt(record);
      if (flowsOut.length === 0) writer.instant(eventsTrack, time, name);
      else {
        writer.beginSlice(eventsTrack, time, time, name, nothing, flowsOut, noFlows);
        writer.endSlice(eventsTrack, time);
      }
    }
    yield;
  }
}

/** The states of a call, on its client's track. */
function clientSlices(
  timeline: Timeline,
  writer: TrackWriter,
  flows: Flows,
  names: CallTexts,
  call: number,
  track: number,
): void {
  const { segmentState, segmentStart, segmentEnd, segmentNext } = timeline;
  const [start, end] = [timeline.callBegin.at(call), timeline.callEnd.at(call)];
  const details = callDetails(timeline, call);
  writer.beginSlice(track, start, end, names.of(call), details, flows.fromCall(call), flows.toCall(call));
  for (let index = timeline.callFirstSegment.at(call); index >= 0; index = segmentNext.at(index)) {
    const state = segmentState.at(index);
    if (state === CallState.door) continue;
    const name =
      state === CallState.rpc
        ? rpcOf(timeline, index)
        : state === CallState.queue
          ? 'asleep in the queue'
          : 'in secure world';
    const segmentEnds = segmentEnd.at(index);
    writer.beginSlice(track, segmentStart.at(index), segmentEnds, name, nothing, noFlows, flows.toSegment(index));
    writer.endSlice(track, segmentEnds);
  }
  writer.endSlice(track, end);
}

const nothing: SliceDetails = {};

const rpcOf = (timeline: Timeline, segment: number) =>
  rpcName(timeline.segmentCommand.at(segment), timeline.segmentRpcFunction(segment));

/** The names of calls. Many calls have the same one, which is made once. */
class CallTexts {
  private readonly names = new Map<number, string>();
  private readonly withClient: Map<string, string>[] = [];

  constructor(private readonly timeline: Timeline) {
    for (const _ of timeline.clients) this.withClient.push(new Map());
  }

  of(call: number): string {
    const { callSession, callPurpose } = this.timeline;
    const key = callSession.at(call) * (callPurposes.length + 1) + callPurpose.at(call);
    return made(this.names, key, () => callName(this.timeline, call));
  }

  /** With the client, for the track of a thread. */
  ofThread(call: number): string {
    const { timeline } = this;
    const name = this.of(call);
    const texts = this.withClient[timeline.callClient.at(call)] ?? new Map<string, string>();
    return made(texts, name, () => `${timeline.clientOf(call)}: ${name}`);
  }
}

function made<Key>(texts: Map<Key, string>, key: Key, make: () => string): string {
  const known = texts.get(key);
  if (known !== undefined) return known;
  const text = make();
  texts.set(key, text);
  return text;
}

/** `invoke, session 3`. */
function callName(timeline: Timeline, call: number): string {
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

/** The number of sleeping calls, once for each time at which it changes. */
function asleepCounts({ segmentCount, segmentState, segmentStart, segmentEnd }: Timeline, writer: TrackWriter): void {
  const asleep: number[] = [];
  for (let index = 0; index < segmentCount; index++) if (segmentState.at(index) === CallState.queue) asleep.push(index);
  const begins = Float64Array.from(asleep, (index) => segmentStart.at(index)).sort();
  const ends = Float64Array.from(asleep, (index) => segmentEnd.at(index)).sort();
  let begun = 0;
  let ended = 0;
  while (ended < ends.length) {
    const time = Math.min(begins[begun] ?? Number.POSITIVE_INFINITY, ends[ended] ?? Number.POSITIVE_INFINITY);
    while (begins[begun] === time) begun++;
    while (ends[ended] === time) ended++;
    writer.count(asleepCounter, time, begun - ended);
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
