import { describe, expect, it } from 'vitest';
import { textReport } from '../../src/scenario/report/text-report.js';
import type { ClientResult, RunResult, ScenarioResult } from '../../src/scenario/scenario-result.js';

const run: RunResult = {
  queue: 'linux-6.7',
  outcome: 'deadlock',
  explanation: ['Everybody waits:', `  thread 0: ${'for whoever waits '.repeat(6)}`.trimEnd()],
  duration: 10,
  hangsSince: 6,
  withoutSession: [],
  clients: [
    {
      name: 'one',
      system: false,
      calls: 3,
      unanswered: 1,
      inFlight: 0,
      late: 2,
      failed: 0,
      p50: 1,
      p99: 1500,
      max: 1500,
    },
    {
      name: 'scmi',
      system: true,
      calls: 0,
      unanswered: 0,
      inFlight: 0,
      late: 0,
      failed: 0,
      p50: null,
      p99: null,
      max: null,
    },
  ],
  systemSessions: { asked: 0, granted: 0 },
  swallowedWakeUps: 0,
  threads: [
    [
      { time: 0, use: 'free' },
      { time: 3, use: 'secure' },
      { time: 6, use: 'rpc' },
    ],
    [{ time: 0, use: 'free' }],
  ],
  asleep: [
    { time: 4, calls: 1 },
    { time: 6, calls: 2 },
  ],
};
const result: ScenarioResult = {
  title: 'A title',
  about: 'Some words about it. '.repeat(8).trim(),
  seed: 7,
  runs: [run, { ...run, queue: 'hand-off', outcome: 'finished', hangsSince: null, clients: run.clients.slice(1) }],
};

describe('the report for a terminal', () => {
  it.each([40, 41, 60, 80, 100, 200])('fits %d columns', (width) => {
    for (const line of textReport(result, { width, colour: false }).split('\n'))
      expect(line.length).toBeLessThanOrEqual(width);
  });

  it('keeps the line ends and the indentation of a text', () => {
    const about = 'It hangs.\n  thread 0: a call that waits for what is behind the one that sleeps\n';
    expect(
      textReport({ ...result, about }, { width: 50, colour: false })
        .split('\n')
        .slice(1, 4),
    ).toEqual(['It hangs.', '  thread 0: a call that waits for what is behind', '    the one that sleeps']);
  });

  it('puts remarks on a separate line if a name is long', () => {
    const client = {
      ...run.clients[0],
      name: 'n'.repeat(32),
      unanswered: 1000,
      late: 100_000,
      failed: 1000,
    } as ClientResult;
    const lines = textReport({ ...result, runs: [{ ...run, clients: [client] }] }, { width: 80, colour: false }).split(
      '\n',
    );
    expect(lines).toContain('      1000 unanswered, 100000 late, 1000 failed');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('has escape sequences only if colour is requested', () => {
    expect(textReport(result, { width: 80, colour: false })).not.toContain('\x1b');
    expect(textReport(result, { width: 80, colour: true })).toContain('\x1b[31;1mDEADLOCK\x1b[0m');
  });

  it('shows each thread over time, and calls that wait for ever until after the end', () => {
    const lines = textReport(result, { width: 72, colour: false }).split('\n');
    const [thread] = lines.filter((line) => line.startsWith('  thread 0  '));
    // 60 columns for 12 ms.
    expect(thread).toBe(`  thread 0  ${'·'.repeat(15)}${'█'.repeat(15)}${'░'.repeat(30)}`);
    expect(lines).toContain(`  asleep    ${' '.repeat(20)}${'▄'.repeat(10)}${'█'.repeat(30)}`);
    expect(lines).toContain(`            0${'10 ms, then for ever'.padStart(59)}`);
  });

  it('ends the picture of a finished run at its end', () => {
    const lines = textReport({ ...result, runs: result.runs.slice(1) }, { width: 72, colour: false }).split('\n');
    expect(lines).toContain(`  thread 0  ${'·'.repeat(18)}${'█'.repeat(18)}${'░'.repeat(24)}`);
  });

  it('ends the picture of a run at its limit, and does not say that it lasts for ever', () => {
    for (const [outcome, end] of [
      ['cut-off', '10 ms (limit)'],
      ['starved', '10 ms'],
    ] as const) {
      const only = { ...run, outcome, hangsSince: null };
      const text = textReport({ ...result, runs: [only] }, { width: 72, colour: false });
      expect(text.split('\n')).toContain(`            0${end.padStart(59)}`);
      expect(text).not.toContain('for ever');
    }
  });

  it('marks threads that are mostly free', () => {
    const changes = [
      { time: 0, use: 'free' },
      { time: 5, use: 'secure' },
      { time: 5.01, use: 'free' },
    ] as const;
    const text = textReport(
      { ...result, runs: [{ ...run, outcome: 'finished', hangsSince: null, clients: [], threads: [changes] }] },
      { width: 72, colour: false },
    );
    expect(text).toContain(`  thread 0  ${'·'.repeat(30)}▁${'·'.repeat(29)}`);
  });

  it('has a table of the clients, and one line that compares the disciplines', () => {
    const lines = textReport(result, { width: 80, colour: false }).split('\n');
    expect(lines).toContain('  client    calls     max     p99    p50');
    expect(lines).toContain('  one           3  1.5 s   1.5 s    1 ms  1 unanswered, 2 late');
    expect(lines).toContain('  scmi          0  -       -        -');
  });

  it('begins with a line per discipline, and merges identical results', () => {
    const twice = { ...result, runs: [...result.runs, { ...run, queue: 'linux-6.8' as const }] };
    const lines = textReport(twice, { width: 80, colour: false }).split('\n');
    expect(lines.filter((line) => /^(linux|hand)/.test(line))).toEqual([
      'linux-6.7  DEADLOCK  closed at 6 ms',
      'hand-off   FINISHED  after 10 ms',
      'linux-6.8  DEADLOCK  closed at 6 ms',
    ]);
    expect(lines).toContain('── linux-6.8: DEADLOCK, as linux-6.7');
  });

  it('marks in the picture the time from which no call returns', () => {
    const lines = textReport(result, { width: 72, colour: false }).split('\n');
    expect(lines).toContain(`            ${' '.repeat(30)}^ closed at 6 ms`);
    const late = textReport(
      { ...result, runs: [{ ...run, outcome: 'stuck', hangsSince: 9.9 }] },
      { width: 72, colour: false },
    );
    expect(late.split('\n')).toContain(`            ${' '.repeat(36)}since 9.9 ms ^`);
  });

  it('reports calls as in flight that may still be answered', () => {
    const client = { ...run.clients[0], unanswered: 5, inFlight: 3 } as ClientResult;
    const text = textReport({ ...result, runs: [{ ...run, clients: [client] }] }, { width: 80, colour: false });
    expect(text).toContain('2 unanswered, 3 in flight, 2 late');
  });

  it('merges threads that do the same', () => {
    const free = [{ time: 0, use: 'free' as const }];
    const runs = [{ ...run, threads: [...run.threads, free, free, free] }];
    const text = textReport({ ...result, runs }, { width: 72, colour: false });
    expect(text).toMatch(/\n {2}thread 0 {2}[^\n]*\n {2}1 to 4 {4}·+\n/);
  });
});
