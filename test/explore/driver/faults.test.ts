import { afterEach, describe, expect, it, vi } from 'vitest';
import { followed } from '../../../src/explore/driver/decisions.js';
import { exploreScenario } from '../../../src/explore/driver/explore-scenario.js';
import { FAULT_KINDS, type FaultKind } from '../../../src/explore/driver/fault-choices.js';
import { judgeRun } from '../../../src/explore/driver/judge-run.js';
import { RUN_PROPERTY_NAMES, type RunProperty } from '../../../src/explore/driver/run-checks.js';
import { OpteeDriver } from '../../../src/optee/optee-driver.js';
import { SupplicantQueue } from '../../../src/optee/supplicant-queue.js';
import { parseScenario } from '../../../src/scenario/scenario-file.js';
import { Supplicant } from '../../../src/supplicant/supplicant.js';
import { TeeDevice } from '../../../src/tee/tee-device.js';

/** Two clients that ask the supplicant side by side, a kernel client that it needs, and a TA that takes one client. */
const SMALL = parseScenario(
  `
title: Two clients, a file, a clock
secureWorld: { threads: 3 }
applications:
  scmi-server: { kind: pseudo, concurrent: true, commands: { clock: [{ compute: 10us }] } }
  notes: { kind: user, commands: { write: [{ compute: 10us }, { rpc: fs }] } }
  lock: { kind: user, singleInstance: true, commands: { turn: [{ compute: 5us }] } }
services: { fs: { steps: [{ wait: 1ms }, { invoke: { client: scmi, command: clock } }] } }
clients:
  scmi: { kernel: true, system: true, passive: true, application: scmi-server }
  notes: { application: notes, count: 2, sharedMemory: 4096, steps: [{ invoke: write }] }
  lock: { application: lock, steps: [{ invoke: turn }] }
`,
  'small.yaml',
);

const KINDS = Object.keys(FAULT_KINDS) as FaultKind[];

/** Every run in which one fault strikes, and otherwise whoever came first goes first. */
const oneFault = (kind: FaultKind, most = 1) =>
  exploreScenario(SMALL, {
    queue: 'hand-off',
    strategy: 'deviations',
    seed: 1,
    maxRuns: 200,
    maxDeviations: 1,
    faults: { kinds: [kind], most },
  });

const brokenIn = async (kind: FaultKind): Promise<RunProperty[]> => {
  const { properties } = await oneFault(kind);
  return RUN_PROPERTY_NAMES.filter((name) => properties[name].verdict === 'broken');
};

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a fault as a choice', () => {
  it.each(KINDS)('%s strikes, and hand-off keeps every promise', { timeout: 60_000 }, async (kind) => {
    const { runs, properties } = await oneFault(kind);
    expect(runs).toBeGreaterThan(3);
    for (const name of RUN_PROPERTY_NAMES)
      expect({ name, ...properties[name] }).toMatchObject({ name, verdict: 'bounded', what: [] });
  });

  it('is no decision when no fault may strike, and none more than may', async () => {
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

describe('a driver that is broken on purpose', () => {
  /** Each with the fault that shows it, and the property that it breaks. */
  const mutants: readonly (readonly [string, FaultKind, RunProperty, () => void])[] = [
    [
      'forgets the shared memory of a dead client',
      'client-death',
      'everythingReturned',
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
      'unhurt',
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
      'unhurt',
      () => {
        const send = SupplicantQueue.prototype.send;
        vi.spyOn(SupplicantQueue.prototype, 'send').mockImplementation(function (this: SupplicantQueue, id, result) {
          try {
            return send.call(this, id, result);
          } catch {
            const taken: Map<number, unknown> = Reflect.get(this, 'taken');
            const [other] = taken.keys();
            return other !== undefined && send.call(this, other, 0xffff_0000);
          }
        });
      },
    ],
    [
      'takes a second answer',
      'duplicate',
      'callsAnsweredOnce',
      () => {
        const send = SupplicantQueue.prototype.send;
        vi.spyOn(SupplicantQueue.prototype, 'send').mockImplementation(function (this: SupplicantQueue, id, result) {
          try {
            return send.call(this, id, result);
          } catch {
            return true;
          }
        });
      },
    ],
    [
      'whose supplicant keeps the memory of secure world when it dies',
      'supplicant',
      'everythingReturned',
      () => {
        const dispose = Supplicant.prototype[Symbol.dispose];
        vi.spyOn(Supplicant.prototype, Symbol.dispose).mockImplementation(function (this: Supplicant) {
          Reflect.get(this, 'memory').clear();
          dispose.call(this);
        });
      },
    ],
  ];

  it.each(mutants)('%s is noticed under %s: %s', { timeout: 60_000 }, async (_, kind, property, breakIt) => {
    breakIt();
    const found = await brokenIn(kind);
    expect(found).toContain(property);
  });

  it('is caught by decisions that show it again', { timeout: 60_000 }, async () => {
    vi.spyOn(SupplicantQueue.prototype, 'withdraw').mockReturnValue();
    const { properties } = await oneFault('drop');
    const { decisions, deviations } = properties.finished;
    expect(deviations).toMatchObject([{ kind: 'event', step: expect.stringMatching(/^the answer to .* is dropped$/) }]);
    const faults = { kinds: ['drop'], most: 1 } as const;
    const again = () => judgeRun(SMALL, 'hand-off', 1, followed(decisions), faults);
    expect([...(await again()).broken.keys()]).toEqual(['finished']);
    vi.restoreAllMocks();
    expect([...(await again()).broken.keys()]).toEqual([]);
  });
});
