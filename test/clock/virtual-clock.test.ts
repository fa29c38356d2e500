import { expect, test } from 'vitest';
import { sleep } from '../../src/clock/clock.js';
import { ControlledSchedule, randomPick } from '../../src/clock/controlled-schedule.js';
import { seededRandom } from '../../src/clock/random.js';
import { VirtualClock } from '../../src/clock/virtual-clock.js';

test('time jumps from timer to timer, equal ones in the order in which they were set', async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  const at = (ms: number, name: string) => clock.setTimer(ms, () => log.push(`${clock.now()} ${name}`));
  at(3_600_000, 'late');
  at(5, 'first');
  at(5, 'second');
  at(0, 'at once');
  const cancel = at(5, 'never');
  cancel();
  expect(await clock.run()).toBe('quiet');
  expect(log).toEqual(['0 at once', '5 first', '5 second', '3600000 late']);
});

test('everything that a timer triggers happens before the next timer', async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  clock.setTimer(1, async () => {
    for (let step = 0; step < 100; step++) await undefined;
    log.push('a hundred promises later');
  });
  clock.setTimer(2, () => log.push('next timer'));
  await clock.run();
  expect(log).toEqual(['a hundred promises later', 'next timer']);
});

test('work that takes time makes timers due, and time never goes back', async () => {
  const clock = new VirtualClock();
  const log: number[] = [];
  clock.setTimer(10, () => log.push(clock.now()));
  clock.setTimer(0, () => clock.elapse(25));
  clock.setTimer(40, () => log.push(clock.now()));
  await clock.advance(20);
  expect(log).toEqual([25]);
  expect(clock.now()).toBe(25);
  await clock.run();
  expect(log).toEqual([25, 40]);
  expect(() => clock.elapse(-1)).toThrow(RangeError);
});

test('a run ends at its limit, and goes on from there', async () => {
  const clock = new VirtualClock();
  let rang = false;
  clock.setTimer(100, () => {
    rang = true;
  });
  expect(await clock.run({ limitMs: 99 })).toBe('limit');
  expect(rang).toBe(false);
  await clock.advance(100);
  expect([rang, clock.now()]).toEqual([true, 100]);
});

test('a run waits for work outside virtual time before time moves', async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  clock.setTimer(1, () => log.push('timer'));
  const outside = (async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    log.push('outside');
  })();
  void clock.outside(outside);
  await clock.run();
  expect(log).toEqual(['outside', 'timer']);
});

async function order(seed: number): Promise<string> {
  const clock = new VirtualClock();
  const schedule = new ControlledSchedule(randomPick(seededRandom(seed)));
  const log: string[] = [];
  const actor = async (name: string) => {
    for (const step of ['one', 'two', 'three']) {
      await schedule.point(name, step);
      log.push(`${name} ${step}`);
      await sleep(clock, 1);
    }
  };
  for (const name of ['a', 'b', 'c']) void actor(name);
  expect(await clock.run({ schedule })).toBe('quiet');
  expect(log).toHaveLength(9);
  return log.join();
}

test('a seed gives the same order again, seeds give different ones', async () => {
  const orders = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(order));
  expect(await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(order))).toEqual(orders);
  expect(new Set(orders).size).toBeGreaterThan(1);
});

test('a run stops on request, with actors still held', async () => {
  const clock = new VirtualClock();
  const schedule = new ControlledSchedule(() => 0);
  void schedule.point('actor', 'step');
  expect(await clock.run({ schedule, until: () => schedule.held.length > 0 })).toBe('stopped');
  expect(schedule.held).toMatchObject([{ actor: 'actor', step: 'step' }]);
});

test('all timers of one time fire before a held actor continues', async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  const schedule = new ControlledSchedule((held) => {
    log.push(held.map(({ actor }) => actor).join());
    return held.length - 1;
  });
  for (const name of ['a', 'b'])
    clock.setTimer(1, () => {
      log.push(`${name} due`);
      void schedule.point(name, 'step');
    });
  clock.setTimer(2, () => log.push('later'));
  await clock.run({ schedule });
  expect(log).toEqual(['a due', 'b due', 'a,b', 'a', 'later']);
});
