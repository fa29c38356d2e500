import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ControlledSchedule, randomPick } from '../../src/clock/controlled-schedule.js';
import { seededRandom } from '../../src/clock/random.js';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import {
  type DisciplineName,
  memref,
  openTee,
  type Session,
  type Tee,
  TeecError,
  TeeResult,
  temporary,
  value,
} from '../../src/index.js';
import { MemoryTaStore } from '../../src/supplicant/ta-store.js';
import { SimulatedWorld, simulatedTaImage } from '../../src/worlds/simulated/index.js';
import { Command, pseudoTa, userTa } from '../support/applications.js';

type Deed = 'add' | 'reverse' | 'register' | 'wait' | 'cancel' | 'reopen' | 'fail' | 'panic' | 'system';

interface Run {
  readonly seed: number;
  readonly queue: DisciplineName;
  readonly threads: number;
  readonly missing: number;
  readonly announced: boolean;
  readonly rpcArg: boolean;
  readonly dynamicShm: boolean;
  readonly clients: readonly { readonly kernel: boolean; readonly deeds: readonly Deed[] }[];
}

const runs = fc.record<Run>({
  seed: fc.nat(),
  // The kernel's disciplines lose wake-ups: hand-off must not.
  queue: fc.constantFrom('hand-off', 'hand-off-a'),
  threads: fc.integer({ min: 1, max: 4 }),
  missing: fc.integer({ min: 0, max: 1 }),
  announced: fc.boolean(),
  rpcArg: fc.boolean(),
  dynamicShm: fc.boolean(),
  clients: fc.array(
    fc.record({
      kernel: fc.boolean(),
      deeds: fc.array(
        fc.constantFrom<Deed>('add', 'reverse', 'register', 'wait', 'cancel', 'reopen', 'fail', 'panic', 'system'),
        { maxLength: 5 },
      ),
    }),
    { minLength: 1, maxLength: 6 },
  ),
});

async function client(tee: Tee, kernel: boolean, deeds: readonly Deed[], which: number): Promise<void> {
  const context = kernel ? tee.openKernelContext() : tee.openContext();
  const { uuid } = which % 2 === 0 ? userTa : pseudoTa;
  let session: Session = await context.openSession(uuid);
  for (const deed of deeds) {
    switch (deed) {
      case 'add':
        expect(await session.invoke(Command.add, [value.inout(which, 1)])).toEqual([{ a: which + 1, b: 1 }]);
        break;
      case 'reverse': {
        const [reversed] = await session.invoke(Command.reverse, [temporary.inout(Uint8Array.of(1, 2, which))]);
        expect(reversed).toEqual(Uint8Array.of(which, 2, 1));
        break;
      }
      case 'register': {
        const shared = await context.allocateSharedMemory(5000);
        shared.bytes[4999] = which;
        await session.invoke(Command.reverse, [memref.inout(shared)]);
        expect(shared.bytes[0]).toBe(which);
        await shared[Symbol.asyncDispose]();
        break;
      }
      case 'wait':
        // OP-TEE knows sessions, not requests: a cancellation that comes late ends the session's next wait.
        await session.invoke(Command.wait, [value.input(10)]).catch(expectCancelled);
        break;
      case 'cancel': {
        const controller = new AbortController();
        const waiting = session
          .invoke(Command.wait, [value.input(10)], { signal: controller.signal })
          .catch(expectCancelled);
        await session.invoke(Command.add, [value.inout(1, 1)]);
        controller.abort();
        await waiting;
        break;
      }
      case 'reopen':
        await session.close();
        session = await context.openSession(uuid);
        break;
      case 'fail':
        await session.invoke(99).catch(expectTeecError);
        break;
      case 'panic':
        // Pseudo-TAs are part of OP-TEE: their panic would be its own.
        if (uuid === userTa.uuid) {
          await session.invoke(Command.panic).catch(expectTeecError);
          await session.close();
          session = await context.openSession(uuid);
        }
        break;
      case 'system':
        if ('systemSession' in session && typeof session.systemSession === 'function') session.systemSession();
        break;
      default:
        deed satisfies never;
    }
  }
  await context.close();
}

function expectCancelled(error: unknown): void {
  expect(error).toEqual(expect.objectContaining({ code: TeeResult.ERROR_CANCEL }));
}

function expectTeecError(error: unknown): void {
  expect(error).toBeInstanceOf(TeecError);
}

describe('the driver under any order of events', () => {
  it('answers every call, and releases all memory, threads and reservations', async () => {
    const seed = Number(process.env.PROPERTY_SEED ?? Date.now() % 0x8000_0000);
    console.log(`random runs: PROPERTY_SEED=${seed}`);
    await fc.assert(
      fc.asyncProperty(runs, async (run) => {
        const missing = Math.min(run.missing, run.threads - 1);
        const clock = new VirtualClock();
        const schedule = new ControlledSchedule(randomPick(seededRandom(run.seed)));
        const images = new MemoryTaStore();
        images.set(userTa.uuid, simulatedTaImage(userTa));
        const world = new SimulatedWorld({
          threads: run.threads,
          ...(run.announced ? {} : { announcedThreads: false as const }),
          rpcArg: run.rpcArg,
          dynamicShm: run.dynamicShm,
          trustedApplications: [userTa, pseudoTa],
          clock,
          schedule,
          random: seededRandom(run.seed),
          faults: { threadsMissing: missing },
        });
        let finished = false;
        let failure: unknown;
        const whole = (async () => {
          const tee = await openTee({
            world,
            clock,
            schedule,
            queue: run.queue,
            supplicant: { taStores: [images] },
          });
          await Promise.all(run.clients.map(({ kernel, deeds }, index) => client(tee, kernel, deeds, index)));
          const { counters, lists } = tee.queueState();
          expect(counters).toMatchObject({ normal_in_flight: 0, system_in_flight: 0, reservations: 0 });
          expect(Object.values(lists).flat()).toEqual([]);
          expect(world.threads.filter(({ state }) => state === 'free')).toHaveLength(run.threads - missing);
          expect(world.sessionCount).toBe(0);
          await tee.close();
          expect(tee.sharedMemoryInUse).toBe(0);
          finished = true;
        })().catch((error: unknown) => {
          failure = error;
        });
        const end = await clock.run({ schedule, until: () => finished || failure !== undefined, limitMs: 20_000 });
        if (failure !== undefined) throw failure;
        expect({ end, finished }).toEqual({ end: 'stopped', finished: true });
        await whole;
      }),
      { seed, numRuns: 300 },
    );
  });
});
