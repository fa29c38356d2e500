import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CallState, hangReport, importLinuxTrace, Timeline, TraceTable } from '../../src/trace/index.js';

const file = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8').split('\n');
const hang = file('linux-hang.txt');

function imported(lines: readonly string[]) {
  const table = new TraceTable();
  const found = importLinuxTrace(lines, table);
  return { found, table, report: hangReport(new Timeline(table)) };
}

describe("an import of Linux's tracepoints", () => {
  it('says who holds the threads, in what, and who goes without', () => {
    const { found, report } = imported(hang);
    expect(found).toMatchObject({ lines: 15, refusedCount: 0 });
    expect(report).toMatchObject({ threads: 2, ethreadLimit: 2 });
    expect(report.holders[0]).toMatchObject({ client: 'storage-402', thread: 1, unfinished: true });
    expect(report.holders[0]?.sitsIn).toBe('RPC CMD');
    expect(report.holders[0]?.heldMs).toBeCloseTo(1007.8, 3);
    expect(report.holders.find(({ client }) => client === 'storage-401')).toMatchObject({ thread: 0, sitsIn: '' });
    expect(report.starved).toMatchObject([{ client: 'kworker/1:2-88', calls: 2, ethreadLimit: 2, asleepAtEnd: true }]);
    expect(report.starved[0]?.asleepMs).toBeCloseTo(4.9 + 1000, 3);
    expect(report.unfinished.map(({ client, sitsIn }) => `${client}: ${sitsIn}`)).toEqual([
      'storage-402: RPC CMD',
      'storage-403: in secure world',
      'kworker/1:2-88: asleep in the queue',
    ]);
  });

  it('reads what trace-cmd report prints', () => {
    const { found, table } = imported([
      'cpus=4',
      '           xtest-512   [003]   57.123456: optee_invoke_fn_begin: param=0xffff80008 (32000012, 0, 4200000, 0, 0, 0, 0, 0)',
      '           xtest-512   [003]   57.123656: optee_invoke_fn_end: param=0xffff80008 ret (0, 0, 0, 0)',
    ]);
    expect(found).toMatchObject({ lines: 2, refusedCount: 0 });
    const [begin, enter, exit, end] = [...table.events()];
    expect(begin).toMatchObject({ type: 'call-begin', context: 'xtest-512', call: 1 });
    expect(enter).toMatchObject({ type: 'world-enter', function: 0x32000012 });
    expect(exit).toMatchObject({ type: 'world-exit', a0: 0 });
    expect(end).toMatchObject({ type: 'call-end' });
    expect((end?.time ?? 0) - (begin?.time ?? 0)).toBeCloseTo(0.2, 6);
  });

  it.each([
    { announced: true, recording: 'linux-6.12-guest.txt' },
    { announced: false, recording: 'linux-6.12-guest-untracked.txt' },
  ])(
    "reads what Debian's Linux 6.12 recorded (OP-TEE says how many threads: $announced)",
    ({ announced, recording }) => {
      // bench/linux/trace.js: four threads call TEE_Wait(10 ms) three times each, and one opens a session with a TA that is
      // loaded from a file, on the two threads of OP-TEE 4.5.
      const lines = file(recording);
      const { found, table, report } = imported(lines);
      const timeline = new Timeline(table);
      const printed = (what: RegExp) => lines.filter((line) => what.test(line)).length;
      expect(found).toMatchObject({ lines: printed(/optee_invoke_fn/), refusedCount: 0 });
      expect(report).toMatchObject({ threads: 2, unfinished: [] });
      for (let record = 0; record < table.length; record++) {
        const inside = timeline.stateAfter(record).filter(({ state }) => state === CallState.rpc);
        expect(new Set(inside.map(({ call }) => timeline.callThread.at(call))).size).toBe(inside.length);
      }
      const calls = Array.from({ length: timeline.callCount }, (_, call) => call);
      const waits = calls.filter((call) => timeline.clientOf(call).startsWith('waiter-'));
      expect(waits).toHaveLength(12);
      for (const call of waits) {
        const asleep = [...timeline.segmentsOf(call)].filter(({ state }) => state === CallState.rpc);
        expect(asleep.reduce((sum, { start, end }) => sum + end - start, 0)).toBeGreaterThan(10);
        expect(timeline.callReturn.at(call)).toBe(0);
      }
      expect(report.holders[0]).toMatchObject({ client: 'opener-1', thread: 0 });
      expect(report.ethreadLimit).toBe(printed(/ret \(1, /));
      if (announced) expect(report).toMatchObject({ ethreadLimit: 0, starved: [] });
      else {
        expect(report.ethreadLimit).toBe(11);
        // The interrupt's thread wants a bottom half.
        expect(report.starved.map(({ client }) => client)).toContain('irq/16-optee_no-134');
        expect(report.starved.reduce((sum, { ethreadLimit }) => sum + ethreadLimit, 0)).toBe(11);
        expect(report.starved.some(({ asleepAtEnd }) => asleepAtEnd)).toBe(false);
      }
    },
  );

  it('says where the kernel lost events', () => {
    const { found } = imported([
      hang[9] ?? '',
      'CPU:1 [LOST 12 EVENTS]',
      'CPU:7 [204600 EVENTS DROPPED]',
      'CPU:0 [LOST EVENTS]',
    ]);
    expect(found.refused.map(({ why }) => why)).toEqual([
      'the kernel lost 12 events here: its buffer was full',
      'the kernel lost 204600 events here: its buffer was full',
      'the kernel lost events here: its buffer was full',
    ]);
  });

  it('names the lines that it cannot use, and goes on', () => {
    const { found, report } = imported([
      hang[9] ?? '',
      'optee_invoke_fn_begin: nonsense',
      '  late-9 [000] .....  99.0: optee_invoke_fn_end: param=0 ret (0, 0, 0, 0)',
      '  late-9 [000] .....  99.1: optee_invoke_fn_begin: param=0 (32000003, 0, 0, 0, 0, 0, 0, 0)',
    ]);
    expect(found.refused).toEqual([
      { line: 2, why: 'this is not how the kernel prints the tracepoint' },
      { line: 3, why: 'late-9 returns from secure world, and its entry was not recorded' },
      { line: 4, why: 'late-9 resumes a call whose beginning was not recorded' },
    ]);
    expect(report.unfinished).toHaveLength(1);
  });
});
