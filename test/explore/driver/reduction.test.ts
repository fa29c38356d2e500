import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { followed, randomWalk } from '../../../src/explore/driver/decisions.js';
import { exploreScenario } from '../../../src/explore/driver/explore-scenario.js';
import { RUN_PROPERTY_NAMES } from '../../../src/explore/driver/properties/run-checks.js';
import { judgeRun } from '../../../src/explore/driver/runs/judge-run.js';
import { type Reduction, reductionFor } from '../../../src/explore/driver/states/reduction.js';
import { StateWatch } from '../../../src/explore/driver/states/state-watch.js';
import type { CallWaiter, DisciplineName } from '../../../src/optee/call-queue/call-queue.js';
import { type CreateCallQueue, createCallQueue } from '../../../src/optee/call-queue/disciplines.js';
import { HandOffCallQueue } from '../../../src/optee/call-queue/hand-off.js';
import { parseScenario } from '../../../src/scenario/file/scenario-file.js';
import type { Scenario } from '../../../src/scenario/scenario.js';

const applications = `
applications:
  scmi: { kind: pseudo, concurrent: true, commands: { clock: [], busy: [{ compute: 10us }], ask: [{ rpc: fs }] } }
  one-at-a-time: { kind: pseudo, commands: { say: [], ask: [{ rpc: fs }] } }
  loaded: { kind: user, singleInstance: true, multiSession: true, commands: { say: [{ compute: 10us }, { wait: 1ms }] } }
`;
const slow = '{ wait: 10us }, { invoke: { client: channel, command: clock } }';
const channel = '  channel: { kernel: true, passive: true, system: true, application: scmi }';

const scenario = (secureWorld: string, ...clients: readonly string[]): Scenario => {
  const services = `services: { fs: { exclusive: true, steps: [${clients.includes(channel) ? slow : ''}] } }`;
  const text = ['title: small', `secureWorld: ${secureWorld}`, applications, services, 'clients:', ...clients].join(
    '\n',
  );
  return parseScenario(text, 'small.yaml');
};
const client = (name: string, rest: string) => `  ${name}: { kernel: true, application: scmi, ${rest} }`;

const shipped = (name: string) =>
  parseScenario(readFileSync(resolve(import.meta.dirname, '../../../scenarios/explore', name), 'utf8'), name);

const TWO_SYSTEM = scenario('{ threads: 2 }', client('s', 'system: true, callers: 2, steps: [{ invoke: clock }]'));
const FULL = scenario('{ threads: 1 }', client('n', 'callers: 3, steps: [{ invoke: busy }]'));
const LATE = scenario(
  '{ threads: 1 }',
  client('n', 'callers: 2, deadline: 15us, steps: [{ invoke: busy }]'),
  client('w', 'start: 10us, steps: [{ invoke: clock }]'),
);

const explored = (
  what: Scenario,
  queue: DisciplineName,
  reduce: boolean,
  maxRuns = 2000,
  createQueue: CreateCallQueue = createCallQueue,
) =>
  exploreScenario(what, {
    queue,
    strategy: 'deviations',
    seed: 1,
    maxRuns,
    goOn: true,
    reduce,
    createQueue,
  });

/** Hand-off, broken in ways that only some orders show. */
const MUTANTS: Readonly<Record<string, CreateCallQueue>> = {
  'a reservation that never ends': (_, threads) =>
    new (class extends HandOffCallQueue {
      override release(): void {}
    })(threads, 'one-in-all'),
  'who leaves wakes nobody': (_, threads) =>
    new (class extends HandOffCallQueue {
      override leave(waiter: CallWaiter): void {
        for (const { head } of this.waiterLists) if (head !== undefined) head.wake = undefined;
        super.leave(waiter);
      }
    })(threads, 'one-in-all'),
};

describe('ending a run in a state that another run has visited', () => {
  it.each(
    Object.entries({ TWO_SYSTEM, FULL, LATE }).flatMap(([name, what]) =>
      (['linux-6.7', 'patch-v6', 'linux-6.8', 'hand-off', 'hand-off-a', 'hand-off-c'] as const).map((queue) => ({
        name,
        what,
        queue,
      })),
    ),
  )('changes no verdict: $name under $queue', async ({ what, queue }) => {
    const reduced = await explored(what, queue, true);
    const all = await explored(what, queue, false);
    expect([reduced.complete, all.complete]).toEqual([true, true]);
    for (const name of RUN_PROPERTY_NAMES)
      expect({ name, verdict: reduced.properties[name].verdict }).toEqual({
        name,
        verdict: all.properties[name].verdict,
      });
    expect(reduced.runs).toBeLessThanOrEqual(all.runs);
  });

  it.each(Object.entries(MUTANTS))('changes no verdict: %s', async (_, createQueue) => {
    const one = scenario('{ threads: 1 }', client('n', 'callers: 2, steps: [{ invoke: clock }]'));
    const verdicts = async (reduce: boolean) => {
      const runs = [await explored(one, 'hand-off', reduce, 2000, createQueue)];
      runs.push(await explored(TWO_SYSTEM, 'hand-off', reduce, 2000, createQueue));
      return runs.map(({ complete, properties }) => [
        complete,
        RUN_PROPERTY_NAMES.map((name) => `${name} ${properties[name].verdict}`),
      ]);
    };
    const reduced = await verdicts(true);
    expect(String(reduced)).toContain('broken');
    expect(reduced).toEqual(await verdicts(false));
  });

  it('changes no verdict: a client may die at any point', async () => {
    const one = scenario('{ threads: 2 }', '  n: { application: scmi, steps: [{ invoke: clock }] }');
    const judged = (reduce: boolean) =>
      exploreScenario(one, {
        queue: 'hand-off',
        strategy: 'deviations',
        seed: 1,
        maxRuns: 3000,
        goOn: true,
        faults: { kinds: ['client-death'], most: 1 },
        reduce,
      });
    const reduced = await judged(true);
    const all = await judged(false);
    expect([reduced.complete, all.complete]).toEqual([true, true]);
    const verdicts = ({ properties }: typeof all) => RUN_PROPERTY_NAMES.map((name) => properties[name].verdict);
    expect(verdicts(reduced)).toEqual(verdicts(all));
    expect(reduced.runs).toBeLessThan(all.runs);
  });

  const CLOSES = scenario(
    '{ threads: 2 }',
    client('s', 'system: true, steps: [{ close: true }]'),
    client('n', 'steps: [{ invoke: clock }]'),
  );
  /** Nobody asks the supplicant for anything: so every order can be tried without reduction. */
  const unasked = (threads: number, ...clients: readonly string[]): Scenario =>
    parseScenario(
      [
        `title: small\nsecureWorld: { threads: ${threads} }`,
        'applications: { scmi: { kind: pseudo, concurrent: true, commands: { clock: [] } } }\nclients:',
        ...clients,
      ].join('\n'),
      'small.yaml',
    );
  const FREES = unasked(
    1,
    client('m', 'sharedMemory: 4096, steps: [{ invoke: clock }]'),
    '  m-frees: { threadOf: m, steps: [{ free: true }] }',
  );
  const ASKS = unasked(
    2,
    client('s', 'system: true, steps: [{ close: true }]'),
    client('n', 'steps: [{ system: true }]'),
  );

  it.each(Object.entries({ ASKS, FREES }))(
    'changes no verdict if parts of the state are distinguished: %s',
    { timeout: 120_000 },
    async (_, what) => {
      expect(reductionFor(what)).toBe('parts');
      const reduced = await explored(what, 'hand-off', true);
      const all = await explored(what, 'hand-off', false, 20_000);
      expect([reduced.complete, all.complete]).toEqual([true, true]);
      for (const name of RUN_PROPERTY_NAMES)
        expect({ name, verdict: reduced.properties[name].verdict }).toEqual({
          name,
          verdict: all.properties[name].verdict,
        });
      expect(reduced.runs).toBeLessThanOrEqual(all.runs);
    },
  );

  it('finds a reservation that never ends if parts of the state are distinguished', async () => {
    const createQueue = MUTANTS['a reservation that never ends'];
    const { properties } = await explored(CLOSES, 'hand-off', true, 2000, createQueue);
    expect(properties.systemSessions.verdict).toBe('broken');
  });

  it.each(['asked-twice.yaml', 'system-session-meanwhile.yaml', 'several-pending.yaml'])(
    'explores all orders of %s',
    { timeout: 120_000 },
    async (name) => {
      const { complete, properties } = await explored(shipped(name), 'hand-off', true);
      expect(complete).toBe(true);
      for (const each of RUN_PROPERTY_NAMES)
        expect({ each, ...properties[each] }).toMatchObject({ each, verdict: 'holds' });
    },
  );

  it('reduces the number of runs', async () => {
    const reduced = await explored(shipped('two-callers.yaml'), 'hand-off', true);
    // All are 2,710, as the exploration without reduction counts them.
    expect({ runs: reduced.runs, complete: reduced.complete }).toEqual({ runs: 74, complete: true });
    const all = await explored(shipped('two-callers.yaml'), 'hand-off', false, 200);
    expect(all.complete).toBe(false);
  });

  it('explores all orders of a system call that needs another, and hand-off violates no property', {
    timeout: 120_000,
  }, async () => {
    const { complete, properties } = await exploreScenario(shipped('system-needs-system.yaml'), {
      queue: 'hand-off',
      strategy: 'deviations',
      seed: 1,
      maxRuns: 5000,
    });
    expect(complete).toBe(true);
    for (const name of RUN_PROPERTY_NAMES) expect({ name, ...properties[name] }).toMatchObject({ verdict: 'holds' });
  });
});

describe('two runs in the same state', () => {
  const SEED = Number(process.env.REDUCTION_SEED ?? Math.floor(Math.random() * 2 ** 31));

  it.each<{ name: string; what: Scenario; queue: DisciplineName; reduction: Reduction }>([
    {
      name: 'locks, services, times',
      what: scenario(
        '{ threads: 2, announced: 3 }',
        client('n', 'callers: 2, steps: [{ invoke: busy }, { invoke: ask }]'),
        '  o: { application: one-at-a-time, count: 1, repeat: 2, steps: [{ invoke: ask }, { wait: 5us }, { invoke: say }] }',
        '  l: { application: loaded, count: 2, steps: [{ invoke: say }] }',
        channel,
      ),
      queue: 'linux-6.8',
      reduction: 'steps',
    },
    {
      name: 'the same, compared by sections of the queue only',
      what: scenario(
        '{ threads: 2, announced: 3 }',
        client('n', 'callers: 2, steps: [{ invoke: busy }, { invoke: ask }]'),
        channel,
      ),
      queue: 'hand-off',
      reduction: 'queue',
    },
    {
      name: 'a thread short',
      what: shipped('one-thread-short.yaml'),
      queue: 'hand-off',
      reduction: 'steps',
    },
    {
      name: 'a thread short',
      what: shipped('one-thread-short.yaml'),
      queue: 'patch-v6',
      reduction: 'steps',
    },
    ...['asked-twice', 'session-closed-meanwhile', 'system-session-meanwhile', 'bottom-half-twice'].map((name) => ({
      name,
      what: shipped(`${name}.yaml`),
      queue: 'hand-off' as const,
      reduction: 'parts' as const,
    })),
    {
      name: 'memory that is freed, and taken by others',
      what: scenario(
        '{ threads: 2 }',
        client('m', 'sharedMemory: 4096, steps: [{ invoke: busy }]'),
        '  m-frees: { threadOf: m, steps: [{ free: true }] }',
        '  o: { application: loaded, sharedMemory: 8192, session: each-round, steps: [{ invoke: say }] }',
      ),
      queue: 'linux-6.8',
      reduction: 'parts',
    },
  ])('have the same continuations: $name, $queue', { timeout: 120_000 }, async ({ what, queue, reduction }) => {
    console.log(`two runs in the same state: REDUCTION_SEED=${SEED}`);
    const go = async (recorder = followed([]), from = 0) => {
      const watch = new StateWatch(recorder, reduction, from, new Set());
      return judgeRun(what, queue, 1, recorder, undefined, { watch });
    };
    /** By state: ways that led there, and how many ways on there are. */
    const ways = new Map<string, { readonly decisions: readonly number[]; readonly of: number }[]>();
    const met = () => [...ways.values()].filter((known) => known.length > 1).slice(0, 40);
    // Some scenarios have few such states: then more walks are made until there are enough.
    for (let walk = 0; walk < 24 || (walk < 1000 && met().length < 4); walk++) {
      const { decisions, states } = await go(randomWalk(SEED + walk, { decisions: 50, events: 0 }));
      const made = decisions.map(({ index }) => index);
      states.forEach((state, at) => {
        const known = state === undefined ? [] : (ways.get(state) ?? []);
        const way = { decisions: made.slice(0, at), of: decisions[at]?.of ?? 0 };
        if (state !== undefined && !known.some((other) => String(other.decisions) === String(way.decisions)))
          ways.set(state, [...known, way]);
      });
    }
    const shared = met();
    expect(shared.length).toBeGreaterThan(3);
    for (const known of shared) {
      const onwards = known.slice(0, 3).map(async ({ decisions, of }) => {
        const next = new Set<string>();
        for (let index = 0; index < of; index++) {
          const { states, broken } = await go(followed([...decisions, index]), decisions.length + 1);
          next.add(states[decisions.length + 1] ?? `the end: ${[...broken.keys()]}`);
        }
        return [...next].sort();
      });
      const [first, ...others] = await Promise.all(onwards);
      for (const other of others) expect(other).toEqual(first);
    }
  });
});

describe('the history that a state leaves out', () => {
  it('is smaller if more components have a memory than is known', () => {
    expect(reductionFor(TWO_SYSTEM)).toBe('steps');
    const { faults } = TWO_SYSTEM;
    const panics = [{ application: 'scmi', command: 'clock', nth: 1 }];
    expect(reductionFor({ ...TWO_SYSTEM, faults: { ...faults, panics } })).toBe('queue');
    expect(reductionFor({ ...TWO_SYSTEM, preemption: { min: 0, max: 1 } })).toBe('nothing');
    const real = parseScenario(
      'title: real\napplications: { store: { use: storage } }\nclients: { c: { application: store, steps: [{ invoke: write }] } }',
      'real.yaml',
    );
    expect(reductionFor(real)).toBe('queue');
  });
});
