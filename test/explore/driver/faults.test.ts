import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { DecisionRecorder, followed } from '../../../src/explore/driver/decisions.js';
import { exploreScenario } from '../../../src/explore/driver/explore-scenario.js';
import { FAULT_KINDS, type FaultKind } from '../../../src/explore/driver/fault-choices.js';
import type { RunProperty } from '../../../src/explore/driver/properties/run-checks.js';
import { type JudgedRun, judgeRun } from '../../../src/explore/driver/runs/judge-run.js';
import type { DisciplineName } from '../../../src/optee/call-queue/call-queue.js';
import { OpteeDriver } from '../../../src/optee/optee-driver.js';
import { SupplicantQueue } from '../../../src/optee/rpc/supplicant-queue.js';
import { parseScenario } from '../../../src/scenario/file/scenario-file.js';
import { Supplicant } from '../../../src/supplicant/supplicant.js';
import { TeeDevice } from '../../../src/tee/tee-device.js';

const file = resolve(import.meta.dirname, '../../../scenarios/small-for-faults.yaml');
const SMALL = parseScenario(readFileSync(file, 'utf8'), file);

const KINDS = Object.keys(FAULT_KINDS) as FaultKind[];

/** The run in which nothing strikes, and each in which one fault does; whoever came first goes first. */
async function* everyStrike(kind: FaultKind): AsyncGenerator<JudgedRun> {
  const judged = (decisions: readonly number[]) =>
    judgeRun(SMALL, 'hand-off', 1, followed(decisions), { kinds: [kind], most: 1 });
  const usual = await judged([]);
  yield usual;
  for (const [at, { kind, of }] of usual.decisions.entries())
    for (let index = 1; kind === 'event' && index < of; index++)
      yield await judged([...usual.decisions.slice(0, at).map((decision) => decision.index), index]);
}

const isBroken = async (kind: FaultKind, property: RunProperty): Promise<boolean> => {
  for await (const { broken } of everyStrike(kind)) if (broken.has(property)) return true;
  return false;
};

afterEach(() => {
  vi.restoreAllMocks();
});

/** A supplicant queue that does this with an answer that it should refuse. */
function onRefusedAnswer(instead: (queue: SupplicantQueue) => boolean): void {
  const send = SupplicantQueue.prototype.send;
  vi.spyOn(SupplicantQueue.prototype, 'send').mockImplementation(function (this: SupplicantQueue, id, result) {
    try {
      return send.call(this, id, result);
    } catch {
      return instead(this);
    }
  });
}

describe('a fault as a choice', () => {
  it.each(KINDS)('%s occurs, and hand-off violates no property', { timeout: 180_000 }, async (kind) => {
    let runs = 0;
    for await (const { broken, decisions } of everyStrike(kind)) {
      const struck = decisions.filter(({ kind, index }) => kind === 'event' && index > 0).map(({ step }) => step);
      expect({ struck, broken: [...broken] }).toEqual({ struck, broken: [] });
      expect(struck).toHaveLength(runs++ === 0 ? 0 : 1);
    }
    // A call can hang where an application is inside: two of them are.
    expect(runs).toBeGreaterThan(kind === 'hang' ? 2 : 3);
  });

  it('does not report resources as leaked that a dead supplicant still uses', async () => {
    // The memory for the lock's image, and the second of two file requests: the first is being served.
    const strikes = [
      { words: /answer to SHM_ALLOC has a corrupted value/, nth: 3 },
      { words: /dies while it serves FS/, nth: 2 },
    ];
    const event = (options: readonly string[]) => {
      const [next] = strikes;
      const index = options.findIndex((words) => next?.words.test(words));
      if (next === undefined || index < 0 || --next.nth > 0) return 0;
      strikes.shift();
      return index;
    };
    const recorder = new DecisionRecorder({ order: () => 0, event });
    const { broken } = await judgeRun(SMALL, 'hand-off', 7, recorder, { kinds: ['corrupt', 'supplicant'], most: 2 });
    expect([strikes, [...broken]]).toEqual([[], []]);
  });

  it('is not a decision if no fault is permitted, or after the permitted number', async () => {
    const plain = await judgeRun(SMALL, 'hand-off', 1, followed([]));
    expect(plain.decisions.filter(({ kind }) => kind === 'event')).toEqual([]);
    const late = await judgeRun(SMALL, 'hand-off', 1, followed([]), { kinds: ['late'], most: 1 });
    const possible = late.decisions.findIndex(({ kind }) => kind === 'event');
    expect(late.decisions[possible]).toMatchObject({ step: 'the supplicant answers', index: 0, of: 2 });
    const struck = await judgeRun(SMALL, 'hand-off', 1, followed([...Array(possible).fill(0), 1]), {
      kinds: ['late'],
      most: 1,
    });
    expect(struck.decisions.filter(({ kind }) => kind === 'event').map(({ step }) => step)).toEqual([
      'the answer to LOAD_TA is late',
    ]);
  });
});

/** Two threads, a system call and two normal ones. */
const TIGHT = parseScenario(
  `
title: a system call and two normal ones
secureWorld: { threads: 2 }
applications:
  scmi-server: { kind: pseudo, concurrent: true, commands: { clock: [{ compute: 10us }] } }
  hello: { kind: user, commands: { say: [{ compute: 10us }] } }
clients:
  scmi: { kernel: true, system: true, application: scmi-server, repeat: 2, steps: [{ invoke: clock }] }
  hello: { application: hello, count: 2, steps: [{ invoke: say }] }
`,
  'tight.yaml',
);

describe('a lost thread context', () => {
  const verdict = async (queue: DisciplineName) => {
    const { properties } = await exploreScenario(TIGHT, {
      queue,
      strategy: 'deviations',
      seed: 1,
      maxRuns: 30,
      maxDeviations: 1,
      faults: { kinds: ['context-lost'], most: 1 },
    });
    return properties.finished;
  };

  it('hangs normal calls under version 6 without any other fault', { timeout: 60_000 }, async () => {
    const { what, deviations } = await verdict('patch-v6');
    expect(what.join(' ')).toContain('sleeps for ever although thread');
    expect(deviations).toMatchObject([{ kind: 'event', step: 'a free thread context is lost' }]);
  });

  it('fails no call under hand-off', { timeout: 60_000 }, async () => {
    expect(await verdict('hand-off')).toMatchObject({ verdict: 'bounded', what: [] });
  });

  it('may deadlock calls that need each other and fill the remaining threads, and only those', async () => {
    const circle = parseScenario(
      `
title: a file needs a clock
secureWorld: { threads: 2 }
applications:
  scmi-server: { kind: pseudo, concurrent: true, commands: { clock: [{ compute: 10us }] } }
  notes: { kind: user, commands: { write: [{ rpc: fs }] } }
services: { fs: { steps: [{ wait: 1ms }, { invoke: { client: scmi, command: clock } }] } }
clients:
  scmi: { kernel: true, system: true, passive: true, application: scmi-server }
  notes: { application: notes, steps: [{ invoke: write }] }
faults: { lostThreads: [500us] }
`,
      'circle.yaml',
    );
    const { broken } = await judgeRun(circle, 'hand-off', 1, followed([]));
    expect([...broken]).toEqual([]);
  });
});

describe('a driver with a planted defect', () => {
  /** Each with the fault that shows it, and the property that it breaks. */
  const mutants: readonly (readonly [string, FaultKind, RunProperty, () => void])[] = [
    [
      'forgets the shared memory of a dead client',
      'client-death',
      'resourcesReleased',
      () => {
        const kill = TeeDevice.prototype.killContext;
        vi.spyOn(TeeDevice.prototype, 'killContext').mockImplementation(function (this: TeeDevice, context) {
          context.shm.clear();
          kill.call(this, context);
        });
      },
    ],
    [
      'leaves the sessions of a client open',
      'client-death',
      'usableAgain',
      () => {
        vi.spyOn(OpteeDriver.prototype, 'release').mockResolvedValue();
      },
    ],
    [
      'keeps the requests of a dead client with the supplicant',
      'drop',
      'finished',
      () => {
        vi.spyOn(SupplicantQueue.prototype, 'withdraw').mockReturnValue();
      },
    ],
    [
      'waits for a dead supplicant',
      'supplicant',
      'callsAnsweredOnce',
      () => {
        vi.spyOn(SupplicantQueue.prototype, 'detach').mockImplementation(function (this: SupplicantQueue) {
          Object.assign(this, { attached: false, receiver: undefined });
        });
      },
    ],
    [
      'fails the requests that a dead supplicant had not taken',
      'supplicant',
      'failuresExplained',
      () => {
        const request = SupplicantQueue.prototype.request;
        vi.spyOn(SupplicantQueue.prototype, 'request').mockImplementation(function (this: SupplicantQueue, ...args) {
          return this.present ? request.apply(this, args) : Promise.resolve(0xffff_000e);
        });
      },
    ],
    [
      'gives a second answer to whoever waits',
      'duplicate',
      'failuresExplained',
      () => {
        onRefusedAnswer((queue) => {
          const taken: Map<number, unknown> = Reflect.get(queue, 'taken');
          const [other] = taken.keys();
          return other !== undefined && queue.send(other, 0xffff_0000);
        });
      },
    ],
    [
      'takes a second answer',
      'duplicate',
      'callsAnsweredOnce',
      () => {
        onRefusedAnswer(() => true);
      },
    ],
    [
      'whose supplicant keeps the memory of secure world when it dies',
      'supplicant',
      'resourcesReleased',
      () => {
        const dispose = Supplicant.prototype[Symbol.dispose];
        vi.spyOn(Supplicant.prototype, Symbol.dispose).mockImplementation(function (this: Supplicant) {
          Reflect.get(this, 'memory').clear();
          dispose.call(this);
        });
      },
    ],
  ];

  it.each(mutants)('%s is detected under %s: %s', { timeout: 180_000 }, async (_, kind, property, breakIt) => {
    breakIt();
    expect(await isBroken(kind, property)).toBe(true);
  });

  it('is caught, and the decisions reproduce it', { timeout: 180_000 }, async () => {
    vi.spyOn(SupplicantQueue.prototype, 'withdraw').mockReturnValue();
    const { properties } = await exploreScenario(SMALL, {
      queue: 'hand-off',
      strategy: 'deviations',
      seed: 1,
      maxRuns: 60,
      maxDeviations: 1,
      faults: { kinds: ['drop'], most: 1 },
    });
    const { decisions, deviations } = properties.finished;
    expect(deviations).toMatchObject([{ kind: 'event', step: expect.stringMatching(/^the answer to .* is dropped$/) }]);
    const faults = { kinds: ['drop'], most: 1 } as const;
    const again = () => judgeRun(SMALL, 'hand-off', 1, followed(decisions), faults);
    expect([...(await again()).broken.keys()]).toEqual(['finished']);
    vi.restoreAllMocks();
    expect([...(await again()).broken.keys()]).toEqual([]);
  });
});
