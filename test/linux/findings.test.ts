import { describe, expect, it } from 'vitest';
import { findings } from '../../linux/findings/findings.js';

/** What came back of a schedule: of each caller's actions begin and end, in milliseconds. */
type Times = Readonly<Record<string, readonly (readonly [number, number | undefined])[]>>;

function judge(id: string, times: Times, answers: readonly number[] = []) {
  const finding = findings.find((each) => each.id === id);
  if (finding === undefined) throw new Error(`no finding ${id}`);
  return finding.judge({
    of: (name: string, which = 0) => {
      const [begin, end] = times[name]?.[which] ?? [undefined, undefined];
      return { begin, end, result: 0 };
    },
    answers,
  });
}

describe('the schedules that show findings on a real kernel', () => {
  it.each(findings.map(({ id, schedule }) => [id, schedule]))(
    '%s only refers to callers that it defines',
    (_, schedule) => {
      const lines = schedule.trim().split('\n');
      const callers = lines.flatMap((line) => /^caller (\S+) (?:user|kernel) [0-9a-f]{32}/.exec(line)?.[1] ?? []);
      const own = ['console', 'load', 'take-thread', 'return-thread', 'delay'];
      const known = [
        /^caller /,
        /^system /,
        /^go-when-done /,
        /^at \d+ /,
        /^(?:end|snapshot) \d+$/,
        /^without-driver$/,
        /^take-thread$/,
      ];
      for (const line of lines) {
        expect(
          known.filter((form) => form.test(line)),
          line,
        ).toHaveLength(1);
        const named = /^(?:system|go-when-done|at \d+) (\S+)/.exec(line)?.[1];
        if (named !== undefined) expect([...callers, ...own]).toContain(named);
      }
      expect(lines.at(-1)).toMatch(/^end \d+$/);
    },
  );
});

describe('a finding', () => {
  it('is shown if the call only returned after the one inside', () => {
    const shown = judge('2', { long: [[0, 6000]], medium: [[300, 1900]], short: [[800, 6040]] });
    expect(shown).toEqual({ shown: true, measure: '4140 ms late' });
  });

  it('is not shown if the call returned as soon as possible', () => {
    const shown = judge('2', { long: [[0, 6000]], medium: [[300, 1900]], short: [[800, 1950]] });
    expect(shown).toEqual({ shown: false, measure: '50 ms late' });
  });

  it('is not shown by a slow machine, on which the call is late but returns long before the one that is said to block it', () => {
    expect(judge('2', { long: [[0, 6000]], medium: [[300, 1900]], short: [[800, 3500]] }).shown).toBe(false);
  });

  it('is not shown if no call returned', () => {
    const shown = judge('2', { long: [[0, undefined]], medium: [[300, undefined]], short: [[800, undefined]] });
    expect(shown.shown).toBe(false);
  });

  it('of a deadlock requires that both calls have not returned, and a free thread', () => {
    const times = { normal: [[0, 2000]], inside: [[300, undefined]], late: [[800, undefined]] } as const;
    expect(judge('1-deadlock', times).shown).toBe(true);
    expect(judge('1-deadlock', { ...times, normal: [[0, undefined]] }).shown).toBe(false);
    expect(judge('1-deadlock', { ...times, late: [[800, 2100]] }).shown).toBe(false);
  });

  it("of the bottom half compares the console's answers with and without free threads", () => {
    const times = { first: [[1000, 6000]], second: [[1300, 6300]] } as const;
    expect(judge('bottom-half', times, [12, 3500]).shown).toBe(true);
    expect(judge('bottom-half', times, [12, 30]).shown).toBe(false);
    expect(judge('bottom-half', times, []).shown).toBe(false);
  });
});
