import { mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { openTee, trustedApplication } from '../../src/index.js';
import {
  EventKind,
  encodeEvent,
  exportChrome,
  exportPerfetto,
  flagBit,
  hangReport,
  MemoryRecorder,
  readTrace,
  Timeline,
  type TraceEvent,
  TraceReader,
  type TraceTable,
  traceStats,
} from '../../src/trace/index.js';
import { readTraceFile } from '../../src/trace/node/index.js';
import { chunkChecksum, fileHeader } from '../../src/trace/nwt/nwt-format.js';

const folder = mkdtempSync(join(tmpdir(), 'normalworld-hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Records as they are, whatever their numbers. */
function traceOf(record: (recorder: MemoryRecorder) => void, subject: object = {}): TraceTable {
  const recorder = new MemoryRecorder({ maxBytes: 1 << 30 });
  recorder.describe(subject);
  record(recorder);
  return readTrace(recorder.toBytes());
}

/** Everything that reads a trace reads it. */
function readByAll(table: TraceTable): Timeline {
  const timeline = new Timeline(table);
  const numbers = (value: unknown): void => {
    if (typeof value === 'number') expect(Number.isFinite(value)).toBe(true);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(numbers);
  };
  numbers(traceStats(timeline));
  numbers(hangReport(timeline));
  let written = 0;
  for (const piece of exportPerfetto(timeline)) written += piece.length;
  for (const piece of exportChrome(timeline)) written += piece.length;
  expect(written).toBeGreaterThan(0);
  return timeline;
}

const begin = (call: number): TraceEvent => ({
  type: 'call-begin',
  call,
  context: 'client',
  purpose: 'invoke',
  session: 1,
  system: false,
});
const enter = (call: number): TraceEvent => ({ type: 'world-enter', call, function: 0x3200_0013 });
const rpc = (call: number, thread: number): TraceEvent => ({ type: 'world-exit', call, a0: 0xffff_0005, thread });

describe('numbers of a trace file', () => {
  it.each([1024, 50_000_000, 0x7fff_fff0, 0xffff_fffe])(
    'cannot name thread %i: it is reported with its place, and the call keeps its thread',
    (thread) => {
      const table = traceOf((recorder) => {
        for (const event of [begin(1), enter(1), rpc(1, thread)]) encodeEvent(recorder, 1, event);
      });
      expect(table.damage).toEqual([
        { offset: expect.any(Number), what: `thread ${thread}; threads must be below 1024` },
      ]);
      const timeline = readByAll(table);
      expect(timeline.threads).toBe(1);
      expect(hangReport(timeline).unfinished).toMatchObject([{ sitsIn: 'RPC CMD', thread: 0 }]);
    },
  );

  it('can name the highest possible thread', () => {
    const table = traceOf((recorder) => {
      for (const event of [begin(1), enter(1), rpc(1, 1023)]) encodeEvent(recorder, 1, event);
    });
    expect(table.damage).toEqual([]);
    expect(readByAll(table).threads).toBe(1024);
  });

  it.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 1e300, -5e12])(
    'cannot have a time of %d ms: it is replaced by that of the previous record',
    (time) => {
      const table = traceOf((recorder) => {
        encodeEvent(recorder, 7, begin(1));
        encodeEvent(recorder, time, enter(1));
        encodeEvent(recorder, 8, { type: 'call-end', call: 1, smcReturn: 0 });
      });
      expect(table.damage).toHaveLength(1);
      expect(table.damage[0]?.what).toMatch(
        /^a time of .* ms; times must be between -4000000000000 and 4000000000000$/,
      );
      expect([...table.events()].map((event) => event.time)).toEqual([7, 7, 8]);
      readByAll(table);
    },
  );

  it('cannot have a time that goes back', () => {
    const table = traceOf((recorder) => {
      [9, 5, 10].forEach((time, index) => {
        encodeEvent(recorder, time, { type: 'mark', text: `${index}` });
      });
    });
    expect(table.damage[0]?.what).toBe('a time of 5 ms after one of 9: times must not decrease');
    expect([...table.events()].map((event) => event.time)).toEqual([9, 9, 10]);
  });

  it.each([-1, 1.5, 1e9, 1e10, 1025])('cannot announce %d threads', (threads) => {
    const table = traceOf((recorder) => encodeEvent(recorder, 0, begin(1)), { threads });
    expect(table.damage[0]?.what).toBe('threads of the trace: expected a whole number from 0 to 1024');
    expect(table.subject.threads).toBeUndefined();
    readByAll(table);
  });

  it('are only used for valid properties of the trace', () => {
    const table = traceOf(() => undefined, {
      title: 'x'.repeat(5000),
      queue: 7,
      clock: 'sun',
      startedAt: 'noon',
      world: null,
    });
    expect(table.subject).toEqual({ title: 'x'.repeat(1000) });
    expect(table.damage.map(({ what }) => what)).toEqual([
      'world of the trace: expected a string',
      'queue of the trace: expected a string',
      'clock of the trace: expected machine, virtual or linux',
      'startedAt of the trace: expected a time in ISO 8601 format',
    ]);
  });

  it('are reported a hundred times at most, and counted', () => {
    const table = traceOf((recorder) => {
      for (let index = 0; index < 500; index++) encodeEvent(recorder, Number.NaN, { type: 'mark', text: '' });
    });
    expect(table.damage).toHaveLength(101);
    expect(table.damage.at(-1)?.what).toBe('400 more places are damaged');
  });

  it('cannot make a reader fail', () => {
    const u32 = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 0xffff_ffff }));
    const time = fc.oneof(fc.double(), fc.integer({ min: -5, max: 20 }));
    const record = fc.tuple(fc.oneof(fc.integer({ min: 1, max: 18 }), u32), fc.boolean(), time, u32, u32, u32, u32);
    fc.assert(
      fc.property(fc.array(record, { maxLength: 60 }), (records) => {
        const table = traceOf((recorder) => {
          for (const [kind, flag, at, call, a, b, c] of records)
            recorder.record((kind & 0xfe) | (flag ? flagBit : 0) || EventKind.mark, at, call, a, b, c, '');
        });
        readByAll(table);
      }),
      { numRuns: 300 },
    );
  });
});

describe('time and memory are proportional to the file', () => {
  /** Ends within the time that a test has only if nothing is gone through for each of them again. */
  const many = (count: number, events: (call: number) => readonly TraceEvent[]) =>
    readByAll(
      traceOf((recorder) => {
        let time = 0;
        for (let call = 1; call <= count; call++)
          for (const event of events(call)) encodeEvent(recorder, time++, event);
      }),
    );

  it('with very many sleepers', () => {
    const timeline = many(30_000, (call) => [begin(call), { type: 'queue-sleep', call, limit: call % 2 === 0 }]);
    expect(hangReport(timeline).starved[0]?.calls).toBe(30_000);
  }, 60_000);

  it('with very many calls that never end', () => {
    const timeline = many(60_000, (call) => [begin(call), enter(call)]);
    expect(timeline.threads).toBe(1024);
    expect(timeline.stateAfter(timeline.table.length - 1)).toHaveLength(60_000);
  }, 60_000);

  it('with very many calls that wait for notifications, and for each other', () => {
    many(20_000, (call) => [
      begin(call),
      enter(call),
      rpc(call, call % 1024),
      { type: 'rpc-begin', call, command: 4, a: 0, b: call },
    ]);
    const ring = many(20_000, (call) => [
      begin(call),
      enter(call),
      rpc(call, call % 1024),
      { type: 'rpc-wait', call, needs: call - 1, through: 'x' },
    ]);
    expect(ring.callCount).toBe(20_000);
  }, 60_000);

  it('with one call that is woken very often', () => {
    const timeline = many(1, (call) => [
      begin(call),
      ...Array.from({ length: 40_000 }, (): TraceEvent[] => [
        { type: 'queue-sleep', call, limit: false },
        { type: 'queue-wake', call, by: call, asleep: true },
      ]).flat(),
    ]);
    // One call, however often it was woken.
    expect(traceStats(timeline).asleepByClient.client?.count).toBe(1);
  }, 60_000);

  it('with nested chunks whose checksums are all wrong', () => {
    const bytes = new Uint8Array(24 << 20);
    bytes.set(fileHeader());
    const view = new DataView(bytes.buffer);
    for (let at = 32; at + 32 <= bytes.length; at += 32) {
      view.setUint32(at, 0x4354_574e, true);
      view.setUint32(at + 4, 2, true);
      view.setUint32(at + 8, 1 << 20, true);
    }
    expect(() => readTrace(bytes)).toThrow('not a trace: there is no chunk in the first 16777216 bytes');
  }, 60_000);

  it('with zeros behind the header, of which only the first are read', async () => {
    const path = join(folder, 'zeros.nwt');
    writeFileSync(path, fileHeader());
    truncateSync(path, 1_900_000_000);
    await expect(readTraceFile(path)).rejects.toThrow('not a trace: there is no chunk in the first 16777216 bytes');
    truncateSync(path, 0);
    truncateSync(path, 1_900_000_000);
    await expect(readTraceFile(path)).rejects.toThrow('the file does not begin like a .nwt file');
  });

  it('with a file of more than 2 GiB, of which most is lost', async () => {
    const path = join(folder, 'large.nwt');
    const recorder = new MemoryRecorder();
    encodeEvent(recorder, 1, { type: 'mark', text: 'first' });
    const head = recorder.toBytes();
    const fd = openSync(path, 'w');
    writeSync(fd, head);
    // A hole, as a file system leaves that ran out of space, and a chunk behind it.
    const chunk = head.slice(32 + 32 + 32);
    const view = new DataView(chunk.buffer);
    view.setUint32(16, 1, true);
    view.setUint32(12, chunkChecksum(view, 0, chunk.length), true);
    writeSync(fd, chunk, 0, chunk.length, 2 ** 31 + 4096);
    const reader = new TraceReader({ record: () => undefined, describe: () => undefined });
    reader.push(head);
    const table = await readTraceFile(path);
    expect(table.length).toBe(2);
    expect(table.damage).toMatchObject([{ what: expect.stringMatching(/^\d+ bytes are not a chunk/) }]);
  }, 120_000);
});

describe('a recorder', () => {
  it('rejects an invalid thread from a hostile secure world, and reports it', async () => {
    const waits = trustedApplication({
      uuid: '66666666-7777-4888-8999-aaaaaaaaaaaa',
      kind: 'pseudo',
      create: () => ({
        async invokeCommand(call) {
          await call.wait(1);
        },
      }),
    });
    let on = false;
    const tee = await openTee({
      trustedApplications: [waits],
      simulated: {
        faults: {
          smcReturn: (registers) => {
            if (!on || registers.a0 !== 0xffff_0005) return undefined;
            on = false;
            return { ...registers, a3: 0x7fff_fff0 };
          },
        },
      },
    });
    const recorder = new MemoryRecorder();
    tee.trace.attach(recorder);
    const session = await tee.openContext().openSession(waits.uuid);
    on = true;
    await expect(session.invoke(0)).rejects.toThrow();
    const table = readTrace(recorder.toBytes());
    expect(table.damage).toEqual([]);
    expect([...table.events()]).toContainEqual(
      expect.objectContaining({
        type: 'protocol-violation',
        what: 'an RPC names thread 0x7ffffff0 in a3; threads of secure world are below 1024',
      }),
    );
    expect(readByAll(table).threads).toBeLessThan(3);
  });
});

describe('threads that are inferred', () => {
  it('are never more than secure world announced', () => {
    // Greedy from the lowest, the second call would find no thread: call 3 is on thread 1 from then on.
    const table = traceOf(
      (recorder) => {
        const events: TraceEvent[] = [
          begin(1),
          enter(1),
          begin(2),
          enter(2),
          { type: 'call-end', call: 1, smcReturn: 0 },
          begin(3),
          enter(3),
          rpc(3, 1),
          { type: 'call-end', call: 2, smcReturn: 0 },
        ];
        events.forEach((event, index) => {
          encodeEvent(recorder, index, event);
        });
      },
      { threads: 2 },
    );
    const timeline = readByAll(table);
    expect(timeline.threads).toBe(2);
    expect([0, 1, 2].map((call) => timeline.callThread.at(call))).toEqual([1, 0, 1]);
    expect([...exportChrome(timeline)].join('')).toContain('"thread":"inferred"');
  });

  it('are none if all are in use', () => {
    const timeline = readByAll(
      traceOf(
        (recorder) => {
          for (const event of [begin(1), enter(1), begin(2), enter(2)]) encodeEvent(recorder, 0, event);
        },
        { threads: 1 },
      ),
    );
    expect(timeline.threads).toBe(1);
    expect([0, 1].map((call) => timeline.callThread.at(call))).toEqual([0, -1]);
  });
});
