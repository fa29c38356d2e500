import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/clock/virtual-clock.js';
import { openTee, RpcCommand, type Tee, type TimedTraceEvent, trustedApplication, value } from '../../src/index.js';
import { smcRegisters } from '../../src/protocol/conduit.js';
import { RpcNotification } from '../../src/protocol/optee-rpc-command.js';
import { asyncNotifPending, asyncNotifValid, OpteeSmc, OpteeSmcReturn } from '../../src/protocol/optee-smc.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { type Faults, type NotificationDriver, rpcValue, SimulatedWorld } from '../../src/testing.js';

/** Waits for a notification, value[0].a, for value[0].b milliseconds. */
const waiter = trustedApplication({
  uuid: '22222222-0000-4000-8000-000000000001',
  kind: 'pseudo',
  concurrent: true,
  create: () => ({
    invokeCommand(call) {
      const { a, b } = call.value(0, 'input');
      return call.rpc(RpcCommand.notification, [rpcValue('input', RpcNotification.wait, a, b)]);
    },
  }),
});

async function open(options: { threads?: number; driver?: NotificationDriver; faults?: Faults } = {}) {
  const clock = new VirtualClock();
  const world = new SimulatedWorld({
    clock,
    threads: options.threads ?? 2,
    trustedApplications: [waiter],
    ...(options.driver === undefined ? {} : { notificationDriver: options.driver }),
    ...(options.faults === undefined ? {} : { faults: options.faults }),
  });
  const tee = await openTee({ clock, world });
  const events: TimedTraceEvent[] = [];
  tee.trace.listen((event) => events.push(event));
  return { clock, world, tee, events };
}

const waitFor = async (tee: Tee, notification: number, timeoutMs = 0) =>
  (await tee.openContext().openSession(waiter.uuid)).invoke(0, [value.input(notification, timeoutMs)]);

const violations = (events: readonly TimedTraceEvent[]) =>
  events.flatMap((event) => (event.type === 'protocol-violation' ? [event.what] : []));

describe('a notification by interrupt', () => {
  it('ends the wait for its value, and no other', async () => {
    const { clock, world, tee } = await open();
    const five = waitFor(tee, 5);
    const six = waitFor(tee, 6);
    await clock.run();
    expect([...tee.waiting().notifications].sort()).toEqual([5, 6]);
    expect(world.notify(5)).toBe(true);
    await five;
    expect(tee.waiting().notifications).toEqual([6]);
    world.notify(6);
    await six;
    await tee.close();
  });

  it('is kept for a later waiter', async () => {
    const { clock, world, tee } = await open();
    world.notify(7);
    await clock.run();
    await waitFor(tee, 7);
    await tee.close();
  });

  it('is fetched with all other pending ones by one interrupt', async () => {
    const { clock, world, tee, events } = await open();
    for (const notification of [3, 1, 2, 3]) world.notify(notification);
    await clock.run();
    expect(events.flatMap((event) => (event.type === 'notification' ? [event.value] : []))).toEqual([1, 2, 3]);
    await tee.close();
  });

  it('that arrives after the timeout is kept for the next waiter', async () => {
    const { clock, world, tee } = await open();
    const early = expect(waitFor(tee, 9, 100)).rejects.toMatchObject({ code: TeeResult.ERROR_TIMEOUT });
    await clock.run();
    await early;
    expect(clock.now()).toBe(100);
    world.notify(9);
    await clock.run();
    await waitFor(tee, 9, 100);
    await tee.close();
  });
});

/** Do something so many turns of the microtask queue later. */
async function turnsLater(turns: number, act: () => void): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await undefined;
  act();
}

describe('an interrupt at any moment', () => {
  const moments = Array.from({ length: 24 }, (_, turns) => turns);

  it('during fetching leads to another fetch', async () => {
    for (const turns of moments) {
      let fetches = 0;
      const { clock, world, tee, events } = await open({
        faults: {
          smc: (call) => {
            // The answer to this one says already that there is no more.
            if (call.a0 === OpteeSmc.getAsyncNotifValue && ++fetches === 1)
              void turnsLater(turns, () => world.notify(6));
            return undefined;
          },
        },
      });
      world.notify(5);
      await clock.run();
      const told = events.flatMap((event) => (event.type === 'notification' ? [event.value] : []));
      expect(told, `${turns} turns after the first fetch`).toEqual([5, 6]);
      await tee.close();
    }
  });

  it('during a failing fetch leads to another fetch', async () => {
    for (const turns of moments) {
      let fetches = 0;
      const { clock, world, tee, events } = await open({
        faults: {
          smc: (call) => {
            if (call.a0 !== OpteeSmc.getAsyncNotifValue || ++fetches > 1) return undefined;
            void turnsLater(turns, () => world.notify(6));
            throw new Error('it could not be fetched');
          },
        },
      });
      world.notify(5);
      await clock.run();
      const told = events.flatMap((event) => (event.type === 'notification' ? [event.value] : []));
      expect(told, `${turns} turns after the first fetch`).toEqual([5, 6]);
      await tee.close();
    }
  });

  it('during a bottom half leads to one more', async () => {
    for (const turns of moments) {
      const { clock, world, tee, events } = await open();
      const halves = () =>
        events.flatMap((event) => (event.type === 'call-begin' && event.purpose === 'bottom-half' ? [event.call] : []));
      let again = true;
      tee.trace.listen((event) => {
        if (event.type !== 'call-end' || event.call !== halves()[0] || !again) return;
        again = false;
        void turnsLater(turns, () => world.notify(0));
      });
      world.notify(0);
      await clock.run();
      expect(halves().length, `${turns} turns after the first has ended`).toBe(2);
      await tee.close();
    }
  });
});

describe('bottom half processing', () => {
  it('is a call through the queue: it waits for a thread like any other', async () => {
    let bottomHalves = 0;
    const { clock, world, tee, events } = await open({
      threads: 1,
      driver: { bottomHalf: () => void bottomHalves++ },
    });
    const busy = waitFor(tee, 5);
    await clock.run();
    world.notify(0);
    await clock.run();
    expect(bottomHalves).toBe(0);
    world.notify(5);
    await busy;
    await clock.run();
    expect(bottomHalves).toBe(1);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'call-begin', purpose: 'bottom-half', system: false }),
    );
    await tee.close();
  });

  it.each(['smc', 'ffa'] as const)(
    'is completed, and its memory released, if the TEE closes meanwhile, over %s',
    async (abi) => {
      let end: () => void = () => {};
      let begin: () => void = () => {};
      const begun = new Promise<void>((resolve) => {
        begin = resolve;
      });
      const world = new SimulatedWorld({
        abi,
        notificationDriver: {
          bottomHalf: () =>
            new Promise((resolve) => {
              end = resolve;
              begin();
            }),
        },
      });
      const tee = await openTee({ world });
      world.notify(0);
      await begun;
      const closed = tee.close();
      await new Promise((resolve) => setImmediate(resolve));
      end();
      await closed;
      expect(tee.sharedMemoryInUse).toBe(0);
    },
  );

  it.each(['smc', 'ffa'] as const)('can compute and wake others, over %s', async (abi) => {
    const clock = new VirtualClock();
    const world = new SimulatedWorld({
      clock,
      abi,
      threads: 2,
      trustedApplications: [waiter],
      notificationDriver: {
        async bottomHalf(thread) {
          await thread.compute(3);
          await thread.notify(9);
        },
      },
    });
    const tee = await openTee({ clock, world });
    const waiting = waitFor(tee, 9);
    await clock.run();
    world.notify(0);
    await clock.run();
    await waiting;
    expect(clock.now()).toBe(3);
    await tee.close();
  });

  it('requested any number of times while one runs is executed once more', async () => {
    const ends: (() => void)[] = [];
    const { clock, world, tee } = await open({
      driver: { bottomHalf: () => new Promise((resolve) => ends.push(resolve)) },
    });
    for (let round = 0; round < 3; round++) {
      world.notify(0);
      await clock.run();
    }
    expect(ends.length).toBe(1);
    ends[0]?.();
    await clock.run();
    expect(ends.length).toBe(2);
    ends[1]?.();
    await clock.run();
    expect(ends.length).toBe(2);
    await tee.close();
  });
});

describe('the end of the driver', () => {
  it('tells secure world to stop, and nothing is notified afterwards', async () => {
    let stopped = 0;
    const { world, tee } = await open({ driver: { stopped: () => void stopped++ } });
    await tee.close();
    expect(stopped).toBe(1);
    expect(world.notify(5)).toBe(false);
  });
});

describe('a secure world without notifications', () => {
  it('is not queried', async () => {
    const asked: number[] = [];
    const world = new SimulatedWorld({
      asyncNotif: false,
      faults: {
        smc: ({ a0 }) => {
          asked.push(a0);
          return undefined;
        },
      },
    });
    const tee = await openTee({ world });
    await tee.close();
    expect(asked).not.toContain(OpteeSmc.enableAsyncNotif);
  });
});

describe('a hostile secure world', () => {
  const answers: readonly [string, number, number, number, RegExp | undefined][] = [
    ['values without end', OpteeSmcReturn.ok, 5, asyncNotifValid | asyncNotifPending, /more notifications pending/],
    [
      'a value out of range',
      OpteeSmcReturn.ok,
      0xffff_ffff,
      asyncNotifValid,
      /value 4294967295, which is out of range/,
    ],
    ['an error', OpteeSmcReturn.ebusy, 0, 0, /answers EBUSY \(0x2/],
    ['pending without valid', OpteeSmcReturn.ok, 0, asyncNotifPending, undefined],
    ['undefined flags', OpteeSmcReturn.ok, 0, 0xffff_fffc, undefined],
  ];

  it.each(answers)('that answers with %s is handled', async (_, a0, a1, a2, expected) => {
    let hostile = true;
    const { clock, world, tee, events } = await open({
      faults: {
        smc: (call) => (hostile && call.a0 === OpteeSmc.getAsyncNotifValue ? smcRegisters(a0, a1, a2) : undefined),
      },
    });
    world.notify(5);
    await clock.run();
    expect(violations(events).join()).toMatch(expected ?? /^$/);
    hostile = false;
    const waiting = waitFor(tee, 5);
    world.notify(5);
    await waiting;
    await tee.close();
  });

  it('whose bottom half fails only loses that one', async () => {
    let refuse = true;
    const { clock, world, tee, events } = await open({
      faults: {
        smcReturn: (registers, call) =>
          refuse && registers.a0 === OpteeSmcReturn.ok && call.a0 === OpteeSmc.callWithRpcArg
            ? smcRegisters(OpteeSmcReturn.enoMem)
            : undefined,
      },
    });
    world.notify(0);
    await clock.run();
    expect(violations(events).join()).toMatch(/bottom half processing failed/);
    refuse = false;
    world.notify(5);
    await clock.run();
    await waitFor(tee, 5);
    await tee.close();
  });
});
