import { describe, expect, it } from 'vitest';
import type { DisciplineName } from '../../src/optee/call-queue/call-queue.js';
import { parseScenario } from '../../src/scenario/file/scenario-file.js';
import { jsonReport } from '../../src/scenario/report/json-report.js';
import { textReport } from '../../src/scenario/report/text-report.js';
import { runScenario } from '../../src/scenario/run-scenario.js';
import { MemoryRecorder, readTrace, Timeline, waitGraph, waitWords } from '../../src/trace/index.js';

async function recorded(text: string, queue: DisciplineName = 'linux-6.8') {
  const recorder = new MemoryRecorder();
  const result = await runScenario(parseScenario(text, 'test.yaml'), { queues: [queue], record: () => recorder });
  const [run] = result.runs;
  if (run === undefined) throw new Error('no run');
  return { run, result, timeline: new Timeline(readTrace(recorder.toBytes())) };
}

/** A single-instance TA asks the supplicant, which needs the same TA: no matter of threads. */
const lock = (more = '', system = '') => `
title: lock
secureWorld: { threads: 8 }
applications:
  ftpm: { kind: user, singleInstance: true, multiSession: true, commands: { submit: [{ compute: 200us }, { rpc: fs }] } }
services:
  fs: { exclusive: true, steps: [{ invoke: { client: ima, command: submit } }] }
clients:
  ima: { application: ftpm, kernel: true, ${system} passive: true }
  user: { application: ftpm, start: 1ms, steps: [{ invoke: submit }] }
${more}`;

/** Two threads, held by calls whose RPCs need a third. */
const exhausted = (system: string) => `
title: exhausted
secureWorld: { threads: 2 }
applications:
  ta: { kind: user, commands: { go: [{ compute: 1ms }, { rpc: rpmb }] } }
  clock: { kind: pseudo, concurrent: true, commands: { set: [{ compute: 1ms }] } }
services:
  rpmb: { exclusive: true, steps: [{ invoke: { client: scmi, command: set } }] }
clients:
  writer: { application: ta, count: 2, steps: [{ invoke: go }] }
  late: { application: ta, start: 500ms, steps: [{ invoke: go }] }
  scmi: { application: clock, kernel: true, ${system} passive: true }
`;

describe('a deadlock', () => {
  it('is reported from when its cycle closed, not from when the last call joined', async () => {
    const late = '  late: { application: ftpm, count: 3, start: 100ms, steps: [{ invoke: submit }] }';
    const { run, result, timeline } = await recorded(lock(late));
    expect(run.outcome).toBe('deadlock');
    expect(run.duration).toBeCloseTo(100.2, 0);
    expect(run.hangsSince).toBeCloseTo(1.2, 1);
    expect(textReport(result, { width: 80, colour: false })).toMatch(/DEADLOCK closed at 1\.2 ms, ended at 100 ms\n/);
    expect(jsonReport(result)).toMatchObject({ runs: [{ hangsSince: run.hangsSince }] });
    // The trace has nobody stuck right before that moment, and the circle right after it.
    const { table } = timeline;
    const { originMs = Number.NaN, verdict } = table.subject;
    expect(verdict).toMatchObject({ outcome: 'deadlock', hangsSinceMs: originMs + (run.hangsSince ?? 0) });
    const at = [...Array(table.length).keys()].filter((record) => waitGraph(timeline, record).stuck.size > 0);
    expect(table.time(at[0] ?? 0) - originMs).toBeCloseTo(run.hangsSince ?? 0, 6);
  });

  it('counts calls that wait behind the cycle separately', async () => {
    const { run } = await recorded(
      lock('  shell: { application: ftpm, count: 2, start: 5ms, steps: [{ invoke: submit }] }'),
    );
    expect(run.explanation[0]).toMatch(/^Calls \d+ and \d+ wait for each other, for ever:$/);
    expect(run.explanation).toContainEqual(
      expect.stringMatching(/^2 more calls wait behind this cycle: calls \d+ and \d+\.$/),
    );
  });

  it.each(['', 'system: true,'])('of a lock suggests no queue or system session (%s)', async (system) => {
    const { run } = await recorded(lock('', system));
    const text = run.explanation.join('\n');
    expect(text).toContain('neither another queue nor a system session helps');
    expect(text).not.toMatch(/did not request|no thread is kept|Tried/);
  });

  it('because no thread is free names the client that could request a system session, and whether that was tried and helps', async () => {
    const { run } = await recorded(exhausted(''));
    expect(run.outcome).toBe('deadlock');
    expect(run.withoutSession).toEqual(['scmi']);
    expect(run.explanation).toContain('scmi did not request a system session: no thread is kept for its calls.');
    expect(run.explanation.at(-1)).toBe('Tried: with `system: true` for scmi the same run finishes.');
    expect((await recorded(exhausted('system: true,'))).run.outcome).toBe('finished');
  });

  it('suggests a thread kept for relief calls only if that was tried and helps', async () => {
    const readers = (threads: number, reserve = false) => `
title: readers
reserve: ${reserve}
secureWorld: { threads: ${threads}, bottomHalf: [{ notify: 7 }, { notify: 8 }] }
applications:
  sensor: { kind: pseudo, concurrent: true, commands: { left: [{ await: 7 }], right: [{ await: 8 }] } }
clients:
  reader: { application: sensor, steps: [{ invoke: left }] }
  other: { application: sensor, steps: [{ invoke: right }] }
  device: { steps: [{ wait: 1ms }, { notify: bottom-half }] }
`;
    const helps = 'Tried: with `reserve: true`, a thread kept for relief calls, the same run finishes.';
    const { run } = await recorded(readers(2), 'hand-off');
    expect([run.outcome, run.explanation.at(-1)]).toEqual(['deadlock', helps]);
    // With one thread there is none to keep; Linux keeps none; and with three nothing is wrong.
    for (const [threads, queue] of [
      [1, 'hand-off'],
      [2, 'linux-6.8'],
      [3, 'hand-off'],
    ] as const)
      expect((await recorded(readers(threads), queue)).run.explanation.join()).not.toContain('Tried');
    expect((await recorded(readers(2, true), 'hand-off')).run.outcome).toBe('finished');
    // A circle of calls that all have their threads is none of the driver's own calls.
    expect((await recorded(lock(), 'hand-off')).run.explanation.join()).not.toContain('Tried');
  });

  it('says if a system session would not help', async () => {
    // One thread cannot be kept from itself.
    const { run } = await recorded(exhausted('').replace('threads: 2', 'threads: 1'));
    expect(run.explanation.at(-1)).toBe('Tried: `system: true` for scmi does not help: the run still deadlocks.');
  });

  it('never reports calls behind an empty cycle', async () => {
    const many = '  shell: { application: ftpm, count: 20, start: 5ms, steps: [{ invoke: submit }] }';
    const { run } = await recorded(lock(many).replace('threads: 8', 'threads: 4'));
    expect(run.explanation.join('\n')).not.toMatch(/behind calls \./);
    expect(run.explanation).toContainEqual(
      expect.stringMatching(/^20 more calls wait behind this cycle, \d+ of them asleep in the queue\.$/),
    );
  });
});

describe('an outcome', () => {
  const slow = (more: string) => `
title: slow
limit: 20ms
secureWorld: { threads: 2 }
applications:
  ta: { kind: user, commands: { go: [{ compute: 1ms }, { rpc: fs }] } }
services:
  fs: { steps: [{ wait: 1ms }] }
clients:
  a: { application: ta, repeat: 100, steps: [{ invoke: go }] }
${more}`;

  it('is cut-off if only the time was over and no call waits for ever', async () => {
    const { run, result } = await recorded(slow(''));
    expect([run.outcome, run.hangsSince]).toEqual(['cut-off', null]);
    expect(run.clients).toMatchObject([{ unanswered: 1, inFlight: 1 }]);
    const text = textReport(result, { width: 80, colour: false });
    expect(text).toContain('CUT OFF at 20 ms, the limit');
    expect(text).toContain('20 ms (limit)');
    expect(text).not.toContain('for ever');
    expect(text).toContain('1 in flight');
  });

  it('is stuck if an RPC is never answered, from that time', async () => {
    const { run } = await recorded(slow('faults: { unanswered: [{ rpc: fs, nth: 3 }] }'));
    expect([run.outcome, run.hangsSince]).toEqual(['stuck', 5]);
    expect(run.clients).toMatchObject([{ unanswered: 1, inFlight: 0 }]);
  });

  it('is not stuck if the supplicant returns after the limit', async () => {
    const { run } = await recorded(slow('faults: { supplicant: { leaves: 2.5ms, returns: 50ms } }'));
    expect(run.outcome).toBe('cut-off');
    const { run: gone } = await recorded(slow('faults: { supplicant: { leaves: 2.5ms } }'));
    expect(gone.outcome).toBe('stuck');
  });

  it('is starved if a call is late, even if others were cut off', async () => {
    const { run } = await recorded(slow('').replace('repeat: 100', 'deadline: 1ms, repeat: 100'));
    expect(run.outcome).toBe('starved');
  });
});

describe('system sessions', () => {
  it('that were refused are reported with any outcome', async () => {
    const { run } = await recorded(
      `
title: refused
secureWorld: { threads: 3 }
applications:
  clock: { kind: pseudo, concurrent: true, commands: { set: [{ compute: 1ms }] } }
clients:
  scmi: { application: clock, count: 5, kernel: true, system: true, deadline: 1us, steps: [{ invoke: set }] }
`,
      'patch-v6',
    );
    expect(run.outcome).toBe('starved');
    expect(run.explanation).toContain('2 of 5 system sessions granted: 2 threads are kept for their calls.');
    expect(run.explanation).toContainEqual(expect.stringContaining('3 of 5 system sessions refused'));
  });
});

describe('report and trace', () => {
  it('agree on what a call waits for inside OP-TEE, and on the origin of times', async () => {
    const { run, timeline } = await recorded(lock());
    const [, waiter, holder] =
      /call (\d+) [^:]*: asleep in OP-TEE behind call (\d+)/.exec(run.explanation.join('\n')) ?? [];
    const graph = waitGraph(timeline, timeline.table.length - 1);
    const wait = [...graph.waits.values()].find(({ call }) => timeline.callNumber.at(call) === Number(waiter));
    expect(wait?.on.map((call) => timeline.callNumber.at(call))).toEqual([Number(holder)]);
    expect(wait === undefined ? '' : waitWords(timeline, wait)).toContain(`waits for user #${holder}`);
    expect(timeline.table.subject.verdict?.explanation).toEqual(run.explanation);
  });
});
