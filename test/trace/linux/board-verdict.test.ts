import { describe, expect, it } from 'vitest';
import { boardVerdict, importLinuxTrace, Timeline, TraceTable } from '../../../src/trace/index.js';

function verdictOf(lines: readonly string[], threads?: number) {
  const table = new TraceTable();
  importLinuxTrace(lines, table, threads === undefined ? {} : { threads });
  return boardVerdict(new Timeline(table));
}

const begin = (task: string, s: number, param: string) =>
  `  ${task} [000] .....  ${s.toFixed(6)}: optee_invoke_fn_begin: param=${param} (32000013, 0, 0, 0, 0, 0, 0, 0)`;
const end = (task: string, s: number, param: string, ret: string) =>
  `  ${task} [000] .....  ${s.toFixed(6)}: optee_invoke_fn_end: param=${param} ret (${ret}, 0, 0, 0)`;
/** Whole calls of a task, each of 0.09 s. */
const calls = (task: string, from: number, count: number) =>
  Array.from({ length: count }, (_, index) => [
    begin(task, from + index * 0.1, task),
    end(task, from + index * 0.1 + 0.09, task, '0'),
  ]).flat();
/** A call that is refused, once. */
const refused = (task: string, at: number) => [begin(task, at, 'w'), end(task, at + 0.001, 'w', '1')];
const inOrder = (lines: readonly string[]) =>
  [...lines].sort(
    (one, other) => Number(/ ([\d.]+): optee/.exec(one)?.[1]) - Number(/ ([\d.]+): optee/.exec(other)?.[1]),
  );

describe('the verdict on a board', () => {
  it('is starved if a call sleeps and others get through', () => {
    const verdict = verdictOf(inOrder([...calls('bulk-1', 10, 40), ...refused('watchdog-9', 10.05)]), 1);
    expect(verdict).toMatchObject({ outcome: 'starved', exhausted: false });
    expect(verdict.hangsSinceMs).toBeCloseTo(10_051, 3);
    expect(verdict.explanation[0]).toBe(
      'watchdog-9 #2 sleeps in the queue while others complete: since 10.051000 s 39 calls have entered',
    );
    expect(verdict.explanation.join('\n')).toContain('most of them of bulk-1 (39)');
  });

  it('is starved if a call got through after many later ones', () => {
    const late = [begin('watchdog-9', 13.951, 'w'), end('watchdog-9', 13.96, 'w', '0')];
    const verdict = verdictOf(inOrder([...calls('bulk-1', 10, 40), ...refused('watchdog-9', 10.05), ...late]), 1);
    expect(verdict.outcome).toBe('starved');
    expect(verdict.hangsSinceMs).toBeUndefined();
    expect(verdict.explanation[0]).toBe(
      'watchdog-9 #2 finally completed, but slept 3.9 s in the queue from 10.051000 s, refused once, while 39 others entered',
    );
  });

  it('is starved if a call sleeps although a thread is free', () => {
    const verdict = verdictOf(
      inOrder([...calls('bulk-1', 10, 1), ...refused('watchdog-9', 10.05), '  x-1 [000] ..... 12.0: irq_entry: a']),
      1,
    );
    expect(verdict.outcome).toBe('starved');
    expect(verdict.explanation[0]).toContain('1 call sleeps in the queue although 1 of 1 threads are free');
  });

  it('is finished if all calls returned, with the longest sleep', () => {
    const late = [begin('watchdog-9', 10.1, 'w'), end('watchdog-9', 10.11, 'w', '0')];
    const verdict = verdictOf(inOrder([...calls('bulk-1', 10, 1), ...refused('watchdog-9', 10.05), ...late]), 1);
    expect(verdict).toMatchObject({
      outcome: 'finished',
      explanation: [
        'Every call of the record has returned.',
        'The longest sleep in the queue was that of watchdog-9 #2, 49.0 ms from 10.051000 s.',
      ],
    });
  });

  it('is exhausted if every thread is held and a call sleeps', () => {
    const verdict = verdictOf(
      inOrder([begin('one-1', 10, 'a'), end('one-1', 10.1, 'a', 'ffff0005'), ...refused('two-2', 10.2)]),
      1,
    );
    expect(verdict).toMatchObject({ outcome: 'stuck', exhausted: true, hangsSinceMs: 10_000 });
  });

  it('is stuck if a call does not return and no call waits', () => {
    const verdict = verdictOf(
      inOrder([begin('one-1', 10, 'a'), end('one-1', 10.1, 'a', 'ffff0005'), ...calls('two-2', 11, 1)]),
      4,
    );
    expect(verdict).toMatchObject({ outcome: 'stuck', exhausted: false });
    expect(verdict.explanation[1]).toMatch(/thread 0: one-1 #1, in RPC CMD since 10\.100000 s/);
  });

  it('is cut off if the record ends with calls in flight', () => {
    expect(verdictOf([begin('one-1', 10, 'a'), end('one-1', 10.1, 'a', 'ffff0005')]).outcome).toBe('cut-off');
  });
});
