/** What hand-off promises under any interleaving, on random workloads and random schedules. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Caller, Operation, OwnCall } from '../../../src/explore/queue/model/caller.js';
import { type ModelConfig, QueueModel } from '../../../src/explore/queue/model/queue-model.js';
import type { WaiterPhase } from '../../../src/optee/call-queue/call-queue.js';

const SEED = Number(process.env.PROPERTY_SEED ?? Date.now() % 0x8000_0000);
const RUNS = 1000;
console.info(`hand-off properties: PROPERTY_SEED=${SEED}`);

const session = fc.integer({ min: -1, max: 2 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: session.chain((session) => call('call', session)) },
  { weight: 1, arbitrary: session.chain((session) => call('close', session)) },
  { weight: 1, arbitrary: session.map((session) => ({ op: 'system_session' as const, session })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(session, fc.constantFrom<OwnCall>('cancel', 'bottom-half', 'unregister', 'register'))
      .map(([session, own]) => ({ op: 'call' as const, own, session, rpc: 0, needs: -1, forever: false })),
  },
);

function call(op: 'call' | 'close', session: number): fc.Arbitrary<Operation> {
  return fc.nat({ max: 2 }).map((rpc) => ({ op, session, rpc, needs: -1, forever: false }));
}

const workload: fc.Arbitrary<ModelConfig> = fc.record({
  discipline: fc.constantFrom('hand-off', 'hand-off-a', 'hand-off-c'),
  totalThreadCount: fc.nat({ max: 4 }),
  secureThreads: fc.integer({ min: 1, max: 4 }),
  initialSystemSessions: fc.nat({ max: 3 }),
  reserve: fc.boolean(),
  callers: fc.array(fc.array(operation, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 7 }),
});

interface Counters {
  readonly capacity: number;
  readonly free: number;
  readonly normalInFlight: number;
  readonly systemInFlight: number;
  readonly reliefInFlight: number;
  readonly reservations: number;
}

function counters(model: QueueModel): Counters {
  const { capacity, free, normal_in_flight, system_in_flight, relief_in_flight, reservations } =
    model.queue.state().counters;
  return {
    capacity: capacity ?? Number.NaN,
    free: free ?? Number.NaN,
    normalInFlight: normal_in_flight ?? Number.NaN,
    systemInFlight: system_in_flight ?? Number.NaN,
    reliefInFlight: relief_in_flight ?? Number.NaN,
    reservations: reservations ?? Number.NaN,
  };
}

/** What others must leave free for relief calls, beside those of them that run. */
function reserveForRelief({ config }: QueueModel, { capacity, reliefInFlight }: Counters): number {
  return config.reserve && capacity > 1 ? Math.max(0, 1 - reliefInFlight) : 0;
}

/** What calls of no system session must leave free for those, from the discipline's description. */
function reserve({ config }: QueueModel, { reservations, systemInFlight, ...counters }: Counters): number {
  const capacity = counters.capacity - (config.reserve && counters.capacity > 1 ? 1 : 0);
  if (reservations === 0 || capacity <= 1) return 0;
  switch (config.discipline) {
    case 'hand-off-a':
      return 1;
    case 'hand-off-c':
      return Math.max(0, Math.min(reservations, capacity - 1) - systemInFlight);
    default:
      return systemInFlight === 0 ? 1 : 0;
  }
}

const isSleeping = ({ waiter: { phase } }: Caller) => phase.startsWith('asleep');

/** Runs a workload by a list of choices, then in turn, and looks at every state on the way. */
function run(config: ModelConfig, choices: readonly number[], look: (model: QueueModel, before: Snapshot) => void) {
  const model = new QueueModel(config);
  let arrivals = 0;
  const arrivedAt = new Map<Caller, number>();
  for (let turn = 0; turn < 100_000; turn++) {
    const able = model.callers.filter((caller) => model.next(caller) !== undefined);
    if (able.length === 0) return model;
    const caller = able[(choices[turn] ?? turn) % able.length];
    if (caller === undefined) throw new Error('unreachable');
    const before = {
      counters: counters(model),
      phases: new Map(model.callers.map((each) => [each, each.waiter.phase])),
      arrivedAt,
    };
    if (model.step(caller) === 'wait_init') arrivedAt.set(caller, arrivals++);
    look(model, before);
  }
  throw new Error('the run does not end');
}

interface Snapshot {
  readonly counters: Counters;
  readonly phases: ReadonlyMap<Caller, WaiterPhase>;
  /** When each caller last entered the queue. */
  readonly arrivedAt: ReadonlyMap<Caller, number>;
}

function holds(property: string, look: (model: QueueModel, before: Snapshot) => void, atEnd?: (m: QueueModel) => void) {
  it(property, () => {
    fc.assert(
      fc.property(workload, fc.array(fc.nat({ max: 5040 }), { maxLength: 300 }), (config, choices) => {
        const model = run(config, choices, look);
        atEnd?.(model);
      }),
      { seed: SEED, numRuns: RUNS },
    );
  }, 120_000);
}

describe('hand-off, under random interleavings of random workloads, with all announced threads or fewer', () => {
  holds(
    'loses no wake-up: every call returns, and no thread or token is kept',
    () => {},
    (model) => {
      expect(model.callers.filter(({ stage }) => stage !== 'done').map(({ label }) => label)).toEqual([]);
      expect(model.secureFree).toBe(model.config.secureThreads);
      expect(counters(model)).toMatchObject({ normalInFlight: 0, systemInFlight: 0 });
    },
  );

  holds('keeps claimed + free = capacity, and a token for each caller that does not sleep', (model) => {
    const { capacity, free, normalInFlight, systemInFlight, reliefInFlight } = counters(model);
    const entered = model.callers.filter(({ waiter }) => waiter.phase === 'entered');
    expect(entered.filter(({ waiter }) => waiter.relief).length).toBe(reliefInFlight);
    expect(entered.filter(({ waiter }) => waiter.system && !waiter.relief).length).toBe(systemInFlight);
    expect(entered.filter(({ waiter }) => !waiter.system && !waiter.relief).length).toBe(normalInFlight);
    if (capacity === 0) return;
    expect(normalInFlight + systemInFlight + reliefInFlight + free).toBe(capacity);
    expect(free).toBeGreaterThanOrEqual(0);
    const { totalThreadCount, secureThreads } = model.config;
    if (totalThreadCount > 0) expect(capacity).toBeLessThanOrEqual(totalThreadCount);
    expect(capacity).toBeGreaterThanOrEqual(
      totalThreadCount > 0 ? Math.min(totalThreadCount, secureThreads) : secureThreads,
    );
  });

  holds('lets nobody sleep who may enter', (model) => {
    const now = counters(model);
    const room = now.capacity === 0 ? Number.POSITIVE_INFINITY : now.free;
    const sleeping = model.callers.filter(isSleeping);
    const forRelief = reserveForRelief(model, now);
    for (const { waiter } of sleeping) {
      const ofSystem = waiter.system ? 0 : reserve(model, now);
      // The thread that is kept for relief calls is no part of what is kept for system calls.
      if (waiter.relief) expect(room).toBeLessThanOrEqual(forRelief > 0 ? 0 : ofSystem);
      else expect(room).toBeLessThanOrEqual(forRelief + ofSystem);
    }
  });

  holds('keeps the order of arrival within a class', (model, { phases, arrivedAt }) => {
    for (const woken of model.callers) {
      if (woken.waiter.phase !== 'entered' || !phases.get(woken)?.startsWith('asleep')) continue;
      for (const other of model.callers) {
        if (!isSleeping(other) || other.waiter.system !== woken.waiter.system) continue;
        if (other.waiter.relief !== woken.waiter.relief) continue;
        // One that has had a token stands before all that have not; those that have not, in the order of arrival.
        const otherHadToken = other.waiter.phase === 'asleep-thread-limit';
        const wokenHadToken = phases.get(woken) === 'asleep-thread-limit';
        if (otherHadToken) expect(wokenHadToken).toBe(true);
        else if (!wokenHadToken) expect(arrivedAt.get(woken)).toBeLessThan(arrivedAt.get(other) ?? -1);
      }
    }
  });

  holds('gives a normal call no thread of the reserve', (model, before) => {
    const now = counters(model);
    if (now.normalInFlight > before.counters.normalInFlight && now.capacity > 0) {
      expect(now.free).toBeGreaterThanOrEqual(reserve(model, now) + reserveForRelief(model, now));
    }
  });

  holds('wakes nobody before a relief call that may have the thread', (model, { phases, counters: before }) => {
    for (const woken of model.callers) {
      if (woken.waiter.relief || woken.waiter.phase !== 'entered' || !phases.get(woken)?.startsWith('asleep')) continue;
      const asleep = model.callers.filter((caller) => isSleeping(caller) && caller.waiter.relief);
      expect(asleep.filter(({ waiter }) => waiter.system)).toEqual([]);
      // A system call may have what is kept for those.
      if (asleep.length > 0)
        expect({ system: woken.waiter.system, kept: before.reservations > 0 }).toEqual({ system: true, kept: true });
    }
  });
});
