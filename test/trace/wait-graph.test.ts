import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { runScenario } from '../../src/scenario/run-scenario.js';
import {
  encodeEvent,
  hangReport,
  MemoryRecorder,
  readTrace,
  Timeline,
  type TraceEvent,
  TraceTable,
  waitGraph,
} from '../../src/trace/index.js';

async function traceOf(scenario: string, queue: 'linux-6.7' | 'hand-off'): Promise<Timeline> {
  const path = join(import.meta.dirname, '../../scenarios', scenario);
  const recorder = new MemoryRecorder();
  await runScenario(parseScenario(readFileSync(path, 'utf8'), path), { queues: [queue], record: () => recorder });
  return new Timeline(readTrace(recorder.toBytes()));
}

function timelineOf(threads: number, events: readonly TraceEvent[], queue = 'linux-6.8'): Timeline {
  const table = new TraceTable();
  table.describe({ threads, queue });
  events.forEach((event, index) => {
    encodeEvent(table, index, event);
  });
  return new Timeline(table);
}

const begins = (call: number, context: string, system = false): TraceEvent => ({
  type: 'call-begin',
  call,
  context,
  purpose: 'invoke',
  session: call,
  system,
});
const enters = (call: number): TraceEvent => ({ type: 'world-enter', call, function: 0x3200_0013 });
const leaves = (call: number, thread: number): TraceEvent => ({ type: 'world-exit', call, a0: 0xffff_0005, thread });
const sleeps = (call: number): TraceEvent => ({ type: 'queue-sleep', call, limit: false });
const last = (timeline: Timeline) => waitGraph(timeline, timeline.table.length - 1);

describe('the wait graph', () => {
  it('has a cycle from the sleeping call, over a thread and its RPC, back to it', async () => {
    const timeline = await traceOf('rpmb-scmi-deadlock.yaml', 'linux-6.7');
    const { cycle, stuck, waits } = last(timeline);
    expect(cycle.map((call) => timeline.clientOf(call))).toEqual(['scmi', expect.stringMatching(/^storage \d$/)]);
    expect(cycle.map((call) => waits.get(call)?.kind)).toEqual(['thread', 'rpc']);
    expect(stuck.size).toBe(7);
    const behind = /^thread \d, storage \d #\d+: its NOTIFICATION RPC waits for storage \d #\d+$/;
    expect(hangReport(timeline).deadlock).toEqual([
      expect.stringMatching(/^scmi #\d+ sleeps in the queue: it waits for one of threads 0, 1, 2, and none is free$/),
      expect.stringMatching(/^thread \d, storage \d #\d+: its RPMB_FRAMES RPC waits for scmi #\d+$/),
      expect.stringMatching(behind),
      expect.stringMatching(behind),
      '3 more asleep in the queue behind them',
    ]);
  });

  it('has no cycle at any place of a run that finishes', async () => {
    const timeline = await traceOf('rpmb-scmi-deadlock.yaml', 'hand-off');
    for (let record = 0; record < timeline.table.length; record += 13)
      expect(waitGraph(timeline, record).stuck.size).toBe(0);
    expect(hangReport(timeline).deadlock).toEqual([]);
  });

  it('ends at an RPC whose reason is unknown', () => {
    const timeline = timelineOf(1, [begins(1, 'a'), enters(1), leaves(1, 0), begins(2, 'b'), sleeps(2)]);
    const { waits, stuck } = last(timeline);
    expect([...waits.values()].map(({ kind, on }) => [kind, on])).toEqual([
      ['thread', [0]],
      ['answer', []],
    ]);
    expect(stuck.size).toBe(0);
  });

  it('gets a cycle with an rpc-wait event, and loses it when the wait ends', () => {
    const events: TraceEvent[] = [begins(1, 'a'), enters(1), leaves(1, 0), begins(2, 'b'), sleeps(2)];
    const wait: TraceEvent = { type: 'rpc-wait', call: 1, needs: 2, through: 'b' };
    expect(last(timelineOf(1, [...events, wait])).cycle).toEqual([1, 0]);
    const over: TraceEvent = { type: 'rpc-wait', call: 1, needs: 0, through: '' };
    expect(last(timelineOf(1, [...events, wait, over])).stuck.size).toBe(0);
  });

  it('distinguishes a thread reserved for system sessions from a lost wake-up', () => {
    const granted: TraceEvent = { type: 'system-session', session: 9, granted: true };
    const one: TraceEvent[] = [begins(1, 'a'), enters(1), begins(2, 'b'), sleeps(2)];
    const kinds = (timeline: Timeline) => [...last(timeline).waits.values()].map(({ kind }) => kind);
    expect(kinds(timelineOf(2, [granted, ...one]))).toEqual(['reserved']);
    expect(kinds(timelineOf(2, one))).toEqual(['wake-up']);
    expect(kinds(timelineOf(2, [granted, begins(1, 'a'), enters(1), begins(2, 'b', true), sleeps(2)]))).toEqual([
      'wake-up',
    ]);
  });

  it('does not count a call as inside that secure world is about to refuse', () => {
    const wait: TraceEvent = { type: 'rpc-wait', call: 1, needs: 2, through: 'b' };
    const cycle: TraceEvent[] = [begins(1, 'a'), enters(1), leaves(1, 0), begins(2, 'b'), sleeps(2), wait];
    const timeline = timelineOf(1, [...cycle, begins(3, 'c'), enters(3), { type: 'world-exit', call: 3, a0: 1 }]);
    expect(timeline.stateAfter(7)).toHaveLength(3);
    expect(waitGraph(timeline, 7).cycle).toEqual([1, 0]);
  });
});
