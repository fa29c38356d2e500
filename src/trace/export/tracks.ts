import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { clientRows } from '../client-rows.js';
import { rpcCommandNotRecorded } from '../event.js';
import { rpcName } from '../stats.js';
import { CallState, type Timeline } from '../timeline.js';

/** What trace viewers know: groups of tracks, slices on them, instants, counters, and flows between slices. */
export type TrackItem =
  | { readonly kind: 'group'; readonly id: number; readonly name: string }
  | { readonly kind: 'track'; readonly id: number; readonly group: number; readonly name: string }
  | { readonly kind: 'counter'; readonly id: number; readonly group: number; readonly name: string }
  | Slice
  | { readonly kind: 'instant'; readonly track: number; readonly time: number; readonly name: string }
  | { readonly kind: 'count'; readonly counter: number; readonly time: number; readonly value: number };

/** Times in milliseconds. Slices of a track lie beside each other or within each other, the outer one first. */
export interface Slice {
  readonly kind: 'slice';
  readonly track: number;
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly details: Readonly<Record<string, string | number>>;
  /** Flows that begin in this slice, and those that end in it. */
  readonly flowsOut: readonly number[];
  readonly flowsIn: readonly number[];
  /** Slices within this one. */
  readonly inner: readonly Slice[];
}

/** Commands that the driver answers itself; the supplicant answers the others. */
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
const firstServiceTrack = 2000;
const firstClientTrack = 10_000;

/**
 * A timeline as tracks: secure world's threads with the calls that hold them, the clients with what their calls go
 * through, and who answers RPCs, with a flow from each RPC to its answer and from each wake-up to the call that was woken.
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

  /** Flows are numbered: wake-ups after all segments. */
  const wakesBy = new Map<number, number[]>();
  const wakesOf = new Map<number, number[]>();
  timeline.wakeUps.forEach(({ by, call }, index) => {
    if (by < 0) return;
    const flow = timeline.segmentCount + 1 + index;
    wakesBy.set(by, [...(wakesBy.get(by) ?? []), flow]);
    wakesOf.set(call, [...(wakesOf.get(call) ?? []), flow]);
  });
  const services = new ServiceTracks();
  for (let call = 0; call < timeline.callCount; call++) {
    const details = callDetails(timeline, call);
    const name = callName(timeline, call);
    const track = (firstRow[timeline.callClient.at(call)] ?? 0) + (row[call] ?? 0);
    const inner: Slice[] = [];
    const rpcs: Slice[] = [];
    let index = timeline.callFirstSegment.at(call);
    for (const segment of timeline.segmentsOf(call)) {
      const flow = index + 1;
      index = timeline.segmentNext.at(index);
      const { start, end, state, command } = segment;
      if (state === CallState.door) continue;
      const isRpc = state === CallState.rpc;
      const slice: Slice = {
        kind: 'slice',
        track,
        start,
        end,
        name: isRpc ? rpcName(command) : state === CallState.queue ? 'asleep in the queue' : 'in secure world',
        details: {},
        flowsOut: [],
        flowsIn: [],
        inner: [],
      };
      inner.push(slice);
      if (!isRpc) continue;
      rpcs.push({ ...slice, track: firstThreadTrack + timeline.callThread.at(call), flowsOut: [flow] });
      const service = services.take(kernelCommands.has(command) ? 'kernel' : 'supplicant', start, end);
      if (service.fresh) yield { kind: 'track', id: service.track, group: group.services, name: service.name };
      yield { ...slice, track: service.track, details: { call: timeline.callNumber.at(call) }, flowsIn: [flow] };
    }
    const flowsOut = wakesBy.get(call) ?? [];
    const flowsIn = wakesOf.get(call) ?? [];
    const start = timeline.callBegin.at(call);
    const end = timeline.callEnd.at(call);
    yield { kind: 'slice', track, start, end, name, details, flowsOut, flowsIn, inner };
    const thread = timeline.callThread.at(call);
    if (thread >= 0)
      yield {
        kind: 'slice',
        track: firstThreadTrack + thread,
        start: timeline.callEntered.at(call),
        end,
        name: `${timeline.clientOf(call)}: ${name}`,
        details,
        flowsOut: [],
        flowsIn: [],
        inner: rpcs,
      };
  }
  for (const record of timeline.notes)
    for (const event of table.eventsAt(record)) {
      const { type, time, ...rest } = event;
      const what = Object.values(rest).join(' ');
      yield { kind: 'instant', track: eventsTrack, time, name: `${type}: ${what}` };
    }
  yield* asleepCounts(timeline);
}

/** `invoke, session 3`. */
export function callName(timeline: Timeline, call: number): string {
  const session = timeline.callSession.at(call);
  return session === 0 ? timeline.purposeOf(call) : `${timeline.purposeOf(call)}, session ${session}`;
}

function callDetails(timeline: Timeline, call: number): Record<string, string | number> {
  const uuid = timeline.sessionUuid.get(timeline.callSession.at(call));
  return {
    call: timeline.callNumber.at(call),
    ...(uuid === undefined ? {} : { application: uuid }),
    ...(timeline.callSystem.at(call) === 1 ? { system: 'yes' } : {}),
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

/** Answers that overlap lie on tracks below each other. */
class ServiceTracks {
  private readonly ends = new Map<string, number[]>();
  private tracks = 0;
  private readonly ids = new Map<string, number>();

  take(service: string, start: number, end: number): { track: number; name: string; fresh: boolean } {
    const ends = this.ends.get(service) ?? [];
    this.ends.set(service, ends);
    let index = ends.findIndex((until) => until <= start);
    if (index < 0) index = ends.length;
    ends[index] = end;
    const name = index === 0 ? service : `${service} (${index + 1})`;
    const known = this.ids.get(name);
    if (known !== undefined) return { track: known, name, fresh: false };
    const track = firstServiceTrack + this.tracks++;
    this.ids.set(name, track);
    return { track, name, fresh: true };
  }
}
