import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { openTee } from '../../src/index.js';
import { SimulatedWorld } from '../../src/testing.js';
import {
  encodeEvent,
  MemoryRecorder,
  readTrace,
  type TraceEvent,
  TraceReader,
  TraceTable,
} from '../../src/trace/index.js';
import { readTraceFile, TraceFile } from '../../src/trace/node/index.js';

const folder = mkdtempSync(join(tmpdir(), 'normalworld-nwt-'));
afterAll(() => rmSync(folder, { recursive: true }));

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
/** Below maxThreads, or not recorded. */
const thread = fc.oneof(fc.integer({ min: 0, max: 1023 }), fc.constant(0xffff_ffff));
const event: fc.Arbitrary<TraceEvent> = fc.oneof(
  fc.record({
    type: fc.constant('call-begin' as const),
    call: u32,
    context: fc.string({ minLength: 1 }),
    purpose: fc.constantFrom('invoke' as const, 'open-session' as const, 'bottom-half' as const),
    session: u32,
    system: fc.boolean(),
  }),
  fc.record({ type: fc.constant('call-end' as const), call: u32, smcReturn: u32 }),
  fc.record({ type: fc.constant('queue-sleep' as const), call: u32, limit: fc.boolean() }),
  fc.record({ type: fc.constant('queue-wake' as const), call: u32, by: u32, asleep: fc.boolean() }),
  fc.record({ type: fc.constant('world-enter' as const), call: u32, function: u32 }),
  fc.record({ type: fc.constant('world-exit' as const), call: u32, a0: u32, thread }),
  fc.record({ type: fc.constant('rpc-begin' as const), call: u32, command: u32, a: u32, b: u32 }),
  fc.record({ type: fc.constant('rpc-end' as const), call: u32, command: u32, result: u32 }),
  fc.record({ type: fc.constant('rpc-wait' as const), call: u32, needs: u32, through: fc.string() }),
  fc.record({
    type: fc.constant('session-open' as const),
    session: u32,
    context: fc.string(),
    uuid: fc.string().map((text) => text.replaceAll('\n', '')),
  }),
  fc.record({ type: fc.constant('session-close' as const), session: u32, context: fc.string() }),
  fc.record({ type: fc.constant('system-session' as const), session: u32, granted: fc.boolean() }),
  fc.record({ type: fc.constant('protocol-violation' as const), call: u32, what: fc.string() }),
  fc.record({ type: fc.constant('secure-console' as const), line: fc.string({ unit: 'grapheme' }) }),
  fc.record({ type: fc.constant('simulated-fault' as const), what: fc.string() }),
  fc.record({ type: fc.constant('ta-panic' as const), uuid: fc.string(), code: u32 }),
  fc.record({ type: fc.constant('notification' as const), value: u32 }),
  fc.record({ type: fc.constant('mark' as const), text: fc.string() }),
);

function bytesOf(events: readonly TraceEvent[], maxBytes = 1 << 24): Uint8Array {
  const recorder = new MemoryRecorder({ maxBytes });
  events.forEach((each, index) => {
    encodeEvent(recorder, index * 0.25, each);
  });
  return recorder.toBytes();
}

const many: TraceEvent[] = Array.from({ length: 10_000 }, (_, index) =>
  index % 3 === 0
    ? { type: 'mark', text: `step ${index}` }
    : { type: 'world-enter', call: index, function: 0x3200_0003 },
);

describe('a .nwt file', () => {
  it('can be recorded of a world over FF-A, with its notifications', async () => {
    const path = join(folder, 'ffa.nwt');
    let bottomHalves = 0;
    const world = new SimulatedWorld({ abi: 'ffa', notificationDriver: { bottomHalf: () => void bottomHalves++ } });
    const tee = await openTee({ world, trace: path });
    expect(world.notify(0)).toBe(true);
    await tee.close();
    expect(bottomHalves).toBe(1);
    const events = [...readTrace(readFileSync(path)).events()];
    expect(events).toContainEqual(expect.objectContaining({ type: 'call-begin', purpose: 'bottom-half' }));
  });

  it('contains every event unchanged', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const table = readTrace(bytesOf(events));
        expect(table.damage).toEqual([]);
        expect([...table.events()]).toEqual(events.map((each, index) => ({ ...each, time: index * 0.25 })));
      }),
    );
  });

  it('keeps the newest events if memory is limited', () => {
    const table = readTrace(bytesOf(many, 200_000));
    expect(table.length).toBeLessThan(many.length);
    expect(table.eventsAt(table.length - 1)).toMatchObject([{ type: 'mark', text: 'step 9999' }]);
    expect(table.damage).toEqual([]);
  });

  it('truncates a text that is too long, and keeps what follows', () => {
    const table = readTrace(
      bytesOf([
        { type: 'mark', text: 'x'.repeat(100_000) },
        { type: 'mark', text: 'after' },
      ]),
    );
    expect([...table.events()]).toMatchObject([{ text: 'x'.repeat(4096) }, { text: 'after' }]);
  });

  it('is read up to its truncated end, which is reported', () => {
    const bytes = bytesOf(many);
    const table = readTrace(bytes.subarray(0, bytes.length - 40));
    expect(table.length).toBeGreaterThan(5000);
    const [damage] = table.damage;
    expect(damage?.what).toMatch(/^the file ends in the middle of a chunk: \d+ bytes/);
    expect(damage?.offset).toBeGreaterThan(100_000);
  });

  it('is read without a damaged chunk', () => {
    const bytes = bytesOf(many);
    bytes[70_000] = (bytes[70_000] ?? 0) ^ 1;
    const table = readTrace(bytes);
    expect(table.damage.map(({ what }) => what)).toEqual([
      expect.stringMatching(/^\d+ bytes are not a chunk, or a chunk with a wrong checksum$/),
      '1 chunks are missing here',
    ]);
    expect(table.eventsAt(0)).toMatchObject([{ text: 'step 0' }]);
    expect(table.eventsAt(table.length - 1)).toMatchObject([{ text: 'step 9999' }]);
  });

  it('can be read with any damage', () => {
    const bytes = bytesOf(many.slice(0, 300));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, end) => {
        const broken = bytes.slice(0, end);
        if (at < end) broken[at] = value;
        try {
          expect(readTrace(broken).length).toBeLessThanOrEqual(300);
        } catch (error) {
          expect(error).toMatchObject({ code: 'TRACE_FORMAT' });
        }
      }),
    );
  });

  it('can be read in pieces of any size', () => {
    const bytes = bytesOf(many);
    const table = new TraceTable();
    const reader = new TraceReader(table);
    for (let at = 0; at < bytes.length; at += 777) reader.push(bytes.subarray(at, at + 777));
    reader.end();
    expect(table.length).toBe(many.length);
  });

  it('is refused with the reason if it is another kind of file', () => {
    expect(() => readTrace(new Uint8Array(10))).toThrow('10 bytes, the header of a .nwt file has 32');
    expect(() => readTrace(new TextEncoder().encode('{"format":"optee-cq-trace/1","steps":[]}'))).toThrow(
      'not a trace',
    );
    const later = bytesOf([]);
    later[8] = 9;
    expect(() => readTrace(later)).toThrow('trace of version 9; this reader supports version 1');
  });
});

describe('recording into a file', () => {
  it('stops before the file is larger than it may be, and says so', async () => {
    const path = join(folder, 'small.nwt');
    const file = new TraceFile(path, { maxBytes: 150_000 });
    for (const each of many) encodeEvent(file, 0, each);
    file.close();
    const table = await readTraceFile(path);
    expect(table.subject.cutAtBytes).toBe(150_000);
    expect(readFileSync(path).length).toBeLessThan(151_000);
    expect(table.damage).toEqual([]);
  });

  it('does not wait at a FIFO for a reader that does not come', async () => {
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    expect(() => new TraceFile(fifo)).toThrow(/ENXIO.*fifo/);
    await expect(openTee({ trace: fifo })).rejects.toThrow(/ENXIO.*fifo/);
  });

  it('gives the reader of a FIFO all of it', async () => {
    const fifo = join(folder, 'read-fifo');
    execFileSync('mkfifo', [fifo]);
    const reader = openSync(fifo, 'r+');
    const recorder = new TraceFile(fifo);
    recorder.describe({ world: 'simulated' });
    recorder.close();
    const bytes = Buffer.alloc(4096);
    const length = readSync(reader, bytes);
    closeSync(reader);
    expect(readTrace(bytes.subarray(0, length)).subject).toMatchObject({ world: 'simulated' });
  });

  it('loses nothing when the process exits without closing it', async () => {
    const path = join(folder, 'exit.nwt');
    runRecorder(path, 'process.exit(3)');
    expect((await readTraceFile(path)).length).toBe(100);
  });

  it('loses at most what came since the last flush when the process is killed', async () => {
    const path = join(folder, 'killed.nwt');
    runRecorder(path, 'setTimeout(() => process.kill(process.pid, "SIGKILL"), 200)');
    const table = await readTraceFile(path);
    expect(table.length).toBe(100);
    expect(table.damage).toEqual([]);
  });
});

/** Record a hundred events in a process of its own, which then ends as `end` says. */
function runRecorder(path: string, end: string): void {
  const library = resolve(import.meta.dirname, '../../dist/trace/node/index.js');
  const script = join(folder, 'recorder.mjs');
  writeFileSync(
    script,
    `import { TraceFile } from ${JSON.stringify(library)};
const file = new TraceFile(${JSON.stringify(path)}, { flushIntervalMs: 20 });
for (let call = 1; call <= 100; call++) file.record(1, call, call, 1, 1, 3, 'client');
${end};`,
  );
  spawnSync(process.execPath, [script], { timeout: 20_000 });
}
