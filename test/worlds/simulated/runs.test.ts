import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sleep } from '../../../src/clock/clock.js';
import { ControlledSchedule, randomPick } from '../../../src/clock/controlled-schedule.js';
import { seededRandom } from '../../../src/clock/random.js';
import { VirtualClock } from '../../../src/clock/virtual-clock.js';
import { smcRegisters } from '../../../src/protocol/conduit.js';
import { OpteeMsgAttr } from '../../../src/protocol/optee-msg.js';
import { isRpcReturn, OpteeSmc, OpteeSmcReturn } from '../../../src/protocol/optee-smc.js';
import { TeeResult } from '../../../src/protocol/tee-result.js';
import type { TrustedApplication } from '../../../src/worlds/simulated/index.js';
import { counterTa, trustedApplication, WorkloadCommand, workloadPta } from '../../../src/worlds/simulated/index.js';
import { board } from './board.js';
import { value } from './normal-world.js';

const sleeper: TrustedApplication = trustedApplication({
  uuid: '00000000-0000-0000-0000-0000000000aa',
  name: 'sleeper',
  kind: 'user',
  singleInstance: true,
  multiSession: true,
  create: () => ({ invokeCommand: (call) => call.wait(call.value(0).a) }),
});

interface Client {
  readonly application: 'workload' | 'sleeper' | 'counter';
  readonly command: number;
  readonly ms: number;
}

/**
 * Clients that each open a session, invoke, and close, over a secure world that has too few threads: whoever finds none
 * tries again. Gives the trace of what every SMC returned and when.
 */
async function run(seed: number, threads: number, missing: number, clients: readonly Client[]) {
  const clock = new VirtualClock();
  const schedule = new ControlledSchedule(randomPick(seededRandom(seed)));
  const { world, normal } = board({
    clock,
    schedule,
    threads,
    trustedApplications: [workloadPta, sleeper, counterTa],
    faults: { threadsMissing: missing },
  });
  const trace: string[] = [];

  const invariant = () => {
    const count = (state: string) => world.threads.filter((thread) => thread.state === state).length;
    expect(count('free') + count('active') + count('suspended')).toBe(threads);
    expect(count('active')).toBeGreaterThanOrEqual(missing);
    // A thread that is suspended has asked for something; one that is free does nothing.
    for (const { state, activity, request } of world.threads) {
      expect(request !== '').toBe(state === 'suspended');
      if (state === 'free') expect(activity).toBe('');
    }
  };

  const call = async (name: string, address: number) => {
    for (;;) {
      await schedule.point(name, 'smc');
      let at = await world.smc(smcRegisters(OpteeSmc.callWithArg, 0, address));
      while (isRpcReturn(at.a0)) {
        invariant();
        trace.push(`${clock.now()} ${name} rpc ${at.a3}`);
        const back = await normal.answer(at, address, OpteeSmc.callWithArg);
        at = await world.smc(back);
      }
      invariant();
      trace.push(`${clock.now()} ${name} ${at.a0}`);
      if (at.a0 !== OpteeSmcReturn.ethreadLimit) return;
      await sleep(clock, 1);
    }
  };
  const results: number[] = [];
  const client = async ({ application, command, ms }: Client, index: number) => {
    const name = `client ${index}`;
    const uuid = { workload: workloadPta, sleeper, counter: counterTa }[application].uuid;
    const open = normal.openMessage(uuid);
    await call(name, open.address);
    expect(open.message.ret).toBe(TeeResult.SUCCESS);
    const attr = command === WorkloadCommand.nothing ? OpteeMsgAttr.valueInout : OpteeMsgAttr.valueInput;
    const invoke = normal.invokeMessage(open.message.session, command, [value(ms, 0, attr)]);
    await call(name, invoke.address);
    expect(invoke.message.ret).toBe(TeeResult.SUCCESS);
    const close = normal.message(2, []);
    close.message.session = open.message.session;
    await call(name, close.address);
    results.push(index);
  };
  let failure: unknown;
  for (const [index, one] of clients.entries())
    client(one, index).catch((error) => {
      failure ??= error;
    });
  expect(await clock.run({ schedule, limitMs: 1_000_000 })).toBe('quiet');
  if (failure !== undefined) throw failure;
  expect(results).toHaveLength(clients.length);
  expect(normal.allocated.size).toBe(0);
  expect([world.sessionCount, world.sharedMemoryCount]).toEqual([0, 0]);
  return trace;
}

const clientArbitrary = fc.oneof(
  fc.record({
    application: fc.constant('workload' as const),
    command: fc.constantFrom(...Object.values(WorkloadCommand)),
    ms: fc.integer({ min: 0, max: 30 }),
  }),
  fc.record({
    application: fc.constant('sleeper' as const),
    command: fc.constant(1),
    ms: fc.integer({ min: 0, max: 30 }),
  }),
  fc.record({ application: fc.constant('counter' as const), command: fc.constant(0), ms: fc.constant(1) }),
);

test('in any order, no thread is lost, every call ends, and everything is released', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 1 }),
      fc.array(clientArbitrary, { minLength: 1, maxLength: 6 }),
      async (seed, usable, missing, clients) => {
        await run(seed, usable + missing, missing, clients);
      },
    ),
    { numRuns: 60 },
  );
});

test('a seed gives the same run again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(clientArbitrary, { minLength: 3, maxLength: 5 }), async (seed, clients) => {
      expect(await run(seed, 2, 0, clients)).toEqual(await run(seed, 2, 0, clients));
    }),
    { numRuns: 20 },
  );
});
