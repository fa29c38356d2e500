import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { followed, priorityWalk, randomWalk } from '../../../src/explore/driver/decisions.js';
import { exploreScenario, type Strategy } from '../../../src/explore/driver/explore-scenario.js';
import { RUN_PROPERTY_NAMES, RunChecks } from '../../../src/explore/driver/properties/run-checks.js';
import { judgeRun } from '../../../src/explore/driver/runs/judge-run.js';
import type { DisciplineName } from '../../../src/optee/call-queue/call-queue.js';
import { parseScenario } from '../../../src/scenario/file/scenario-file.js';

/** Two system calls on one session and a normal call: in some orders version 6 never wakes the normal one. */
const TWO_AND_ONE = parseScenario(
  `
title: Two system calls and a normal one
about: the smallest workload that hangs under version 6
secureWorld: { threads: 2 }
applications:
  scmi-server: { kind: pseudo, concurrent: true, commands: { clock: [{ compute: 10us }] } }
  hello: { kind: user, commands: { say: [{ compute: 10us }] } }
clients:
  scmi-clock: { kernel: true, system: true, application: scmi-server, callers: 2, repeat: 1, steps: [{ invoke: clock }] }
  hello: { application: hello, repeat: 1, steps: [{ invoke: say }] }
`,
  'two-and-one.yaml',
);

/** The smallest of all. */
const TWO = parseScenario(
  `
title: Two system calls
secureWorld: { threads: 2 }
applications:
  scmi-server: { kind: pseudo, concurrent: true, commands: { clock: [] } }
clients:
  scmi-clock: { kernel: true, system: true, application: scmi-server, callers: 2, steps: [{ invoke: clock }] }
`,
  'two.yaml',
);

const folder = resolve(import.meta.dirname, '../../../scenarios/explore');
const shipped = (name: string) => parseScenario(readFileSync(resolve(folder, name), 'utf8'), name);

const run = (queue: DisciplineName, strategy: Strategy, maxRuns: number) =>
  exploreScenario(TWO_AND_ONE, { queue, strategy, seed: 1, maxRuns });

const held = (...actors: string[]) => actors.map((actor) => ({ actor, step: 'smc' }));

describe('a run as its decisions', () => {
  it('counts only points with more than one runnable actor, and follows a list', () => {
    const recorder = followed([1, 7]);
    expect(recorder.pick(held('a'))).toBe(0);
    expect(recorder.pick(held('a', 'b'))).toBe(1);
    expect(recorder.pick(held('a', 'b', 'c'))).toBe(2);
    expect(recorder.pick(held('a', 'b'))).toBe(0);
    expect(recorder.made.map(({ actor, index, of }) => [actor, index, of])).toEqual([
      ['b', 1, 2],
      ['c', 2, 3],
      ['a', 0, 2],
    ]);
  });

  it('also counts events as decisions, of which the first is that none happens', () => {
    const recorder = followed([0, 2]);
    expect(recorder.choose('call 1', ['nothing', 'its answer is lost'])).toBe(0);
    expect(recorder.pick(held('a', 'b', 'c'))).toBe(2);
    expect(recorder.choose('call 1', ['nothing'])).toBe(0);
    expect(recorder.choose('call 1', ['nothing', 'its answer is lost'])).toBe(0);
    expect(recorder.made.map(({ actor, step, kind, of }) => [actor, step, kind, of])).toEqual([
      ['call 1', 'nothing', 'event', 2],
      ['c', 'smc', 'order', 3],
      ['call 1', 'nothing', 'event', 2],
    ]);
  });

  it('injects about the requested number of random events, anywhere in the run', () => {
    const at = new Set<number>();
    for (let seed = 0; seed < 200; seed++) {
      const recorder = randomWalk(seed, { decisions: 20, events: 20 });
      for (let i = 0; i < 20; i++) if (recorder.choose('call 1', ['nothing', 'it is lost']) === 1) at.add(i);
    }
    expect(at.size).toBe(20);
  });

  it('continues the same actor as long as its priority is highest', () => {
    const recorder = priorityWalk(1, 1, { decisions: 100, events: 1 });
    const first = recorder.pick(held('a', 'b', 'c'));
    for (let i = 0; i < 10; i++) expect(recorder.pick(held('a', 'b', 'c'))).toBe(first);
  });

  it('is the same for the same seed, and different for another', () => {
    const made = (seed: number) => {
      const recorder = randomWalk(seed, { decisions: 100, events: 10 });
      return Array.from({ length: 40 }, () => recorder.pick(held('a', 'b', 'c')));
    };
    expect(made(1)).toEqual(made(1));
    expect(made(1)).not.toEqual(made(2));
  });
});

describe('exploring the whole driver on a scenario', () => {
  it.each(['deviations', 'random', 'priorities'] as const)(
    'finds the hang of version 6 with %s, and reproduces it',
    async (by) => {
      const { properties } = await run('patch-v6', by, 50);
      const { verdict, what, decisions } = properties.finished;
      expect(verdict).toBe('broken');
      expect(what.join(' ')).toContain('sleeps for ever although threads 0 and 1 are free');
      const again = await judgeRun(TWO_AND_ONE, 'patch-v6', 1, followed(decisions));
      expect([...again.broken.keys()]).toEqual(['finished']);
    },
  );

  it('explores all orders under hand-off, and finds no violation', { timeout: 120_000 }, async () => {
    const { complete, runs, properties } = await exploreScenario(TWO, {
      queue: 'hand-off',
      strategy: 'deviations',
      seed: 1,
      maxRuns: 500,
    });
    expect(complete).toBe(true);
    expect(runs).toBeGreaterThan(10);
    for (const name of RUN_PROPERTY_NAMES) expect({ name, ...properties[name] }).toMatchObject({ verdict: 'holds' });
  });

  it('reports `bounded` if runs are left', async () => {
    const { complete, runs, properties } = await run('hand-off', 'deviations', 3);
    expect({ complete, runs, verdict: properties.finished.verdict }).toEqual({
      complete: false,
      runs: 3,
      verdict: 'bounded',
    });
  });
});

describe('schedules found by the exploration of the queue alone', () => {
  it.each([
    {
      scenario: 'system-needs-system.yaml',
      knows: '10 steps',
      strategy: 'deviations',
      what: 'although thread 0 is free',
    },
    { scenario: 'one-thread-short.yaml', knows: '18 steps', strategy: 'deviations', what: 'sleeps for ever' },
  ] as const)(
    '$scenario reproduces $knows with the whole driver, with $strategy',
    async ({ scenario, strategy, what: seen }) => {
      const { properties } = await exploreScenario(shipped(scenario), {
        queue: 'linux-6.8',
        strategy,
        seed: 1,
        maxRuns: 2000,
      });
      const { verdict, what, decisions } = properties.finished;
      expect(verdict).toBe('broken');
      expect(what.join(' ')).toContain(seen);
      const again = await judgeRun(shipped(scenario), 'linux-6.8', 1, followed(decisions));
      expect(again.broken.get('finished')).toEqual(what);
    },
  );
});

describe('where a run can be held up', () => {
  it.each([
    {
      queue: 'linux-6.8',
      steps: ['enter the queue', 'wake', 'requeue-claim', 'recheck', 'requeue-thread-limit', 'leave the queue'],
    },
    { queue: 'hand-off', steps: ['enter the queue', 'thread limit', 'wake', 'leave the queue'] },
  ] as const)('before every section of the queue: $queue', async ({ queue, steps }) => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 30; seed++) {
      const recorder = randomWalk(seed, { decisions: 50, events: 1 });
      const { decisions } = await judgeRun(shipped('one-thread-short.yaml'), queue, 1, recorder);
      for (const { step } of decisions) seen.add(step);
    }
    expect([...seen]).toEqual(expect.arrayContaining([...steps, 'CALL_WITH_RPC_ARG', 'return', 'end the reservation']));
  });
});

describe('the checks of a run', () => {
  const begin = { type: 'call-begin', context: 'a', purpose: 'invoke', session: 1, system: false, time: 0 } as const;
  const suspended = { type: 'world-exit', a0: 0xffff_0004, time: 0 } as const;
  const end = { type: 'call-end', smcReturn: 0, time: 0 } as const;

  it('detect a call that ends twice, and one that never ends', () => {
    const checks = new RunChecks(() => undefined);
    checks.listen({ ...begin, call: 1 });
    checks.listen({ ...end, call: 1 });
    checks.listen({ ...end, call: 1 });
    expect(checks.broken.get('callsAnsweredOnce')).toEqual(['call 1 ended twice']);

    const others = new RunChecks(() => undefined);
    others.listen({ ...begin, call: 2 });
    others.atEnd();
    expect(others.broken.get('callsAnsweredOnce')).toEqual(['calls 2 never ended']);
  });

  it('detect two calls suspended in one thread', () => {
    const checks = new RunChecks(() => undefined);
    for (const call of [1, 2]) {
      checks.listen({ ...begin, call });
      checks.listen({ ...suspended, call, thread: 0 });
    }
    expect(checks.broken.get('rpcsToTheirThread')).toEqual(['call 2 was suspended in thread 0, which call 1 uses']);
  });

  it('do not count a thread as used when its call has returned but not left the queue', () => {
    const checks = new RunChecks(() => undefined);
    for (const call of [1, 2]) {
      checks.listen({ ...begin, call });
      checks.listen({ ...suspended, call, thread: 0 });
      checks.listen({ ...suspended, call, a0: 0 });
    }
    expect(checks.broken.size).toBe(0);
  });

  it('detect a negative counter, and one that does not return to its initial value', () => {
    const state = {
      discipline: 'patch-v6',
      lists: {},
      counters: { free_normal_thread_count: -1, res_sys_thread_count: 1 },
    } as const;
    const checks = new RunChecks(() => state);
    checks.listen({ ...begin, call: 1 });
    checks.listen({ ...end, call: 1 });
    expect(checks.broken.get('queueCounts')).toEqual(['free_normal_thread_count is -1']);

    const others = new RunChecks(() => state);
    others.atEnd();
    expect(others.broken.get('queueCounts')).toEqual(['res_sys_thread_count is 1 at the end']);
  });
});

describe('stopping at the first broken property', () => {
  it('keeps the run as it was found, which violates the property again when repeated', async () => {
    const by = { queue: 'patch-v6', strategy: 'random', seed: 1, maxRuns: 50 } as const;
    const whole = await exploreScenario(TWO_AND_ONE, { ...by, goOn: true });
    const first = await exploreScenario(TWO_AND_ONE, { ...by, goOn: true, first: true });
    expect(first.runs).toBeLessThan(whole.runs);
    const { verdict, decisions, deviations } = first.properties.finished;
    expect(verdict).toBe('broken');
    expect(deviations.length).toBeGreaterThanOrEqual(whole.properties.finished.deviations.length);
    const again = await judgeRun(TWO_AND_ONE, 'patch-v6', 1, followed(decisions));
    expect(again.broken.has('finished')).toBe(true);
  });
});
