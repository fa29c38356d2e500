import { describe, expect, it } from 'vitest';
import type { Session } from '../../src/index.js';
import { CallState, exportChrome, exportPerfetto, Timeline, traceStats } from '../../src/trace/index.js';
import { lonelyUuid, recorded, sleeperUuid } from './record.js';

/** Two threads; three calls of 10, 30 and 1 ms that begin together. */
const contended = (queue: 'linux-6.8' | 'hand-off') =>
  recorded({ queue }, async (tee) => {
    const sessions: Session[] = [];
    for (const label of ['a', 'b', 'c']) sessions.push(await tee.openContext({ label }).openSession(sleeperUuid));
    await Promise.all([10, 30, 1].map((time, index) => sessions[index]?.invoke(time)));
    tee.trace.mark('over');
  });

/** Two calls of an application that takes one at a time: the second waits until the first notifies it. */
const takingTurns = () =>
  recorded({}, async (tee) => {
    const sessions: Session[] = [];
    for (const label of ['a', 'b']) sessions.push(await tee.openContext({ label }).openSession(lonelyUuid));
    await Promise.all(sessions.map((session) => session.invoke(10)));
  });

describe('a timeline', () => {
  it('gives each call its states and its thread', async () => {
    const timeline = new Timeline(await contended('hand-off'));
    const call = timeline.clients.indexOf('c');
    const invokes = Array.from({ length: timeline.callCount }, (_, index) => index).filter(
      (index) => timeline.purposeOf(index) === 'invoke',
    );
    const of = (label: string) => invokes.find((index) => timeline.clientOf(index) === label) ?? -1;
    expect(call).toBeGreaterThan(0);
    expect([...timeline.segmentsOf(of('c'))].filter(({ start, end }) => end > start)).toMatchObject([
      { state: CallState.queue },
      { state: CallState.rpc },
    ]);
    expect(invokes.map((index) => timeline.callThread.at(index))).toEqual([0, 1, 0]);
    expect(timeline.wakeUps).toMatchObject([{ call: of('c'), by: of('a'), unused: false }]);
    const [wake] = timeline.wakeUps;
    expect(timeline.stateAfter((wake?.record ?? 0) - 1).map(({ call: index }) => timeline.clientOf(index))).toEqual([
      'a',
      'b',
      'c',
    ]);
  });

  it('has the sender and the receiver of each notification', async () => {
    const timeline = new Timeline(await takingTurns());
    expect(timeline.notifications).toHaveLength(1);
    const [{ by, call, sentRecord, answeredRecord } = { by: -1, call: -1, sentRecord: 1, answeredRecord: 0 }] =
      timeline.notifications;
    expect([by, call].map((index) => timeline.clientOf(index))).toEqual(['a', 'b']);
    expect(answeredRecord).toBeGreaterThan(sentRecord);
  });

  it('counts unused wake-ups, overtaking and errors', async () => {
    const linux = traceStats(new Timeline(await contended('linux-6.8')));
    expect(linux).toMatchObject({ unusedWakeUps: 1, unfinished: 0, threads: 2, ethreadLimit: 0 });
    expect(linux.asleepByClient.c?.max).toBeCloseTo(30, 3);
    const handOff = traceStats(new Timeline(await contended('hand-off')));
    expect(handOff.unusedWakeUps).toBe(0);
    expect(handOff.asleepByClient.c?.max).toBeCloseTo(10, 3);
  });
});

describe('an export', () => {
  it('is JSON for Chrome: slices, flows with both ends, marks', async () => {
    const text = [...exportChrome(new Timeline(await contended('hand-off')))].join('');
    const { traceEvents } = JSON.parse(text) as { traceEvents: Record<string, unknown>[] };
    const names = traceEvents.filter(({ ph }) => ph === 'M').map(({ args }) => (args as { name?: string }).name);
    expect(names).toEqual(expect.arrayContaining(['thread 0', 'thread 1', 'a', 'b', 'c', 'kernel']));
    const slices = traceEvents.filter(({ ph }) => ph === 'X');
    expect(slices.every(({ dur, pid, tid }) => (dur as number) >= 0 && pid !== undefined && tid !== undefined)).toBe(
      true,
    );
    expect(slices.map(({ name }) => name)).toEqual(expect.arrayContaining(['asleep in the queue', 'in secure world']));
    const ids = (ph: string) =>
      traceEvents
        .filter((event) => event.ph === ph)
        .map(({ id }) => id)
        .sort();
    expect(ids('s')).toEqual(ids('f'));
    expect(ids('s').length).toBeGreaterThan(0);
    expectOrder(traceEvents);
    expect(traceEvents.filter(({ ph }) => ph === 'i')).toMatchObject([{ name: 'mark: over' }]);
  });

  it('has a flow from a notification to the call that waited for it', async () => {
    const text = [...exportChrome(new Timeline(await takingTurns()))].join('');
    const { traceEvents } = JSON.parse(text) as { traceEvents: Record<string, unknown>[] };
    expectOrder(traceEvents);
    const slices = traceEvents.filter(({ ph }) => ph === 'X');
    const names = traceEvents.filter(({ name }) => name === 'thread_name');
    const track = (label: string) => names.find(({ args }) => (args as { name: string }).name === label)?.tid;
    const sent = slices.filter(({ tid, name }) => tid === track('kernel') && name === 'NOTIFICATION').at(-1);
    const [flow] = traceEvents.filter(({ ph, tid, ts }) => ph === 's' && tid === sent?.tid && ts === sent?.ts);
    const end = traceEvents.find(({ ph, id }) => ph === 'f' && id === flow?.id);
    expect(end?.tid).toBe(track('b'));
    expect(slices.filter(({ tid, ts }) => tid === end?.tid && ts === end?.ts).map(({ name }) => name)).toContain(
      'in secure world',
    );
  });

  it('has flows that begin before they end, also with equal times', async () => {
    for (const queue of ['linux-6.8', 'hand-off'] as const) {
      const { traceEvents } = JSON.parse([...exportChrome(new Timeline(await contended(queue)))].join('')) as {
        traceEvents: Record<string, unknown>[];
      };
      expectOrder(traceEvents);
    }
  });

  it('is protobuf for Perfetto: every slice ends, every flow ends', async () => {
    const pieces = [...exportPerfetto(new Timeline(await contended('hand-off')))];
    const packets = fields(concat(pieces)).map(({ number, value }) => {
      expect(number).toBe(1);
      return fields(value as Uint8Array);
    });
    const tracks = new Set<number>();
    const open = new Map<number, number>();
    const begun: bigint[] = [];
    const ended: bigint[] = [];
    const names: string[] = [];
    for (const packet of packets) {
      const get = (number: number) => packet.find((field) => field.number === number)?.value;
      const descriptor = get(60);
      if (descriptor !== undefined)
        tracks.add(fields(descriptor as Uint8Array).find(({ number }) => number === 1)?.value as number);
      const event = get(11);
      if (event === undefined) continue;
      const inner = fields(event as Uint8Array);
      const type = inner.find(({ number }) => number === 9)?.value;
      const track = inner.find(({ number }) => number === 11)?.value as number;
      expect(tracks).toContain(track);
      if (type === 1) open.set(track, (open.get(track) ?? 0) + 1);
      if (type === 2) open.set(track, (open.get(track) ?? 0) - 1);
      expect(open.get(track) ?? 0).toBeGreaterThanOrEqual(0);
      for (const { number, value } of inner) {
        if (number === 47) begun.push(value as bigint);
        if (number === 48) ended.push(value as bigint);
        if (number === 23) names.push(new TextDecoder().decode(value as Uint8Array));
      }
    }
    expect([...open.values()].every((count) => count === 0)).toBe(true);
    expect(ended.sort()).toEqual(begun.sort());
    expect(names).toEqual(expect.arrayContaining(['asleep in the queue', 'SUSPEND']));
  });
});

/** Every flow begins before it ends, in time and in the file, and a track's slices are in their order. */
function expectOrder(traceEvents: readonly Record<string, unknown>[]): void {
  const begun = new Map<unknown, unknown>();
  const last = new Map<unknown, number>();
  for (const { ph, id, ts, tid, name } of traceEvents) {
    if (ph === 's') begun.set(id, ts);
    if (ph === 'f') expect(begun.get(id) as number, `flow ${id} to ${name}`).toBeLessThanOrEqual(ts as number);
    if (ph !== 'X') continue;
    expect(ts as number, `${name} on track ${tid}`).toBeGreaterThanOrEqual(last.get(tid) ?? 0);
    last.set(tid, ts as number);
  }
  expect(begun.size).toBeGreaterThan(0);
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

interface Field {
  readonly number: number;
  readonly value: number | bigint | Uint8Array;
}

/** The fields of a protobuf message, by the wire format alone. */
function fields(bytes: Uint8Array): Field[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = view.getUint8(at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = tag >> 3;
    if ((tag & 7) === 0) found.push({ number, value: varint() });
    else if ((tag & 7) === 1) {
      found.push({ number, value: view.getBigUint64(at, true) });
      at += 8;
    } else if ((tag & 7) === 2) {
      const size = varint();
      found.push({ number, value: bytes.subarray(at, at + size) });
      at += size;
    } else throw new Error(`wire type ${tag & 7}`);
  }
  return found;
}
