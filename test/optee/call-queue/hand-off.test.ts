import { describe, expect, it } from 'vitest';
import { type CallQueue, CallWaiter } from '../../../src/optee/call-queue/call-queue.js';
import { createCallQueue } from '../../../src/optee/call-queue/disciplines.js';

/** Enters callers in turn, 'N' or 'S' each, and gives them with what they were told. */
function enterAll(queue: CallQueue, kinds: string) {
  return [...kinds].map((kind, label) => {
    const waiter = new CallWaiter(label);
    return { waiter, step: queue.enter(waiter, kind === 'S') };
  });
}

function waitersOf(queue: CallQueue, kinds: string): CallWaiter[] {
  return enterAll(queue, kinds).map(({ waiter }) => waiter);
}

function at(waiters: readonly CallWaiter[], index: number): CallWaiter {
  const waiter = waiters[index];
  if (waiter === undefined) throw new Error(`no caller ${index}`);
  return waiter;
}

describe('hand-off', () => {
  it('gives a freed thread to the caller that has slept longest, which need not check again', () => {
    const queue = createCallQueue('hand-off', 1);
    const waiters = waitersOf(queue, 'NNN');
    const woken: number[] = [];
    for (const waiter of waiters) waiter.wake = () => woken.push(waiter.label);
    queue.leave(at(waiters, 0));
    expect(woken).toEqual([1]);
    expect(queue.resume(at(waiters, 1))).toBe('call');
    expect(queue.state().counters).toMatchObject({ capacity: 1, free: 0, normal_in_flight: 1, exits: 1 });
  });

  it('lets no caller overtake: a newcomer sleeps while an earlier caller of its class does', () => {
    const queue = createCallQueue('hand-off', 1);
    const waiters = waitersOf(queue, 'NN');
    queue.leave(at(waiters, 0));
    expect(queue.enter(at(waiters, 0), false)).toBe('sleep');
    expect(at(waiters, 1).phase).toBe('entered');
  });

  it('serves system calls first', () => {
    const queue = createCallQueue('hand-off', 1);
    const waiters = waitersOf(queue, 'NNS');
    queue.leave(at(waiters, 0));
    expect(waiters.map(({ phase }) => phase)).toEqual(['outside', 'asleep-claim', 'entered']);
  });

  it('reserves a thread while a system session exists, and releases it when it closes', () => {
    const queue = createCallQueue('hand-off', 2);
    expect(queue.reserve()).toBe(true);
    const entered = enterAll(queue, 'NNS');
    expect(entered.map(({ step }) => step)).toEqual(['call', 'sleep', 'call']);
    queue.leave(
      at(
        entered.map(({ waiter }) => waiter),
        2,
      ),
    );
    expect(entered[1]?.waiter.phase).toBe('asleep-claim');
    queue.release();
    expect(entered[1]?.waiter.phase).toBe('entered');
  });

  it.each([
    ['hand-off', 'call'],
    ['hand-off-a', 'sleep'],
  ] as const)('%s answers %s to a normal call for the last thread while a system call runs', (discipline, answer) => {
    const queue = createCallQueue(discipline, 2);
    queue.reserve();
    expect(enterAll(queue, 'SN').map(({ step }) => step)).toEqual(['call', answer]);
  });

  it('refuses a reservation when there is one thread, or when the number is unknown', () => {
    expect(createCallQueue('hand-off', 1).reserve()).toBe(false);
    expect(createCallQueue('hand-off', 0).reserve()).toBe(false);
  });

  it('learns from ETHREAD_LIMIT that secure world has fewer threads, and puts the caller back at the head', () => {
    const queue = createCallQueue('hand-off', 3);
    const waiters = waitersOf(queue, 'NNNN');
    expect(queue.threadLimit(at(waiters, 2))).toBe('sleep');
    expect(queue.state().counters).toMatchObject({ capacity: 2, free: 0 });
    expect(queue.state().lists.normal_waiters?.map(({ label }) => label)).toEqual([2, 3]);
  });

  it('learns the number of threads of a secure world that announces none', () => {
    const queue = createCallQueue('hand-off', 0);
    const waiters = waitersOf(queue, 'NNN');
    expect(queue.state().counters).toMatchObject({ capacity: 0, normal_in_flight: 3 });
    queue.threadLimit(at(waiters, 2));
    expect(queue.state().counters).toMatchObject({ capacity: 2, normal_in_flight: 2 });
    expect(queue.reserve()).toBe(true);
  });

  it('tries again at once when a call has returned since the SMC was made, and there is room', () => {
    const queue = createCallQueue('hand-off', 3);
    const waiters = waitersOf(queue, 'NNN');
    queue.leave(at(waiters, 0));
    expect(queue.threadLimit(at(waiters, 1))).toBe('call');
    // Two others held tokens at most when the answer was given.
    expect(queue.state().counters.capacity).toBe(2);
  });

  it('bounds the number of ETHREAD_LIMIT answers to a caller, however many calls return in between', () => {
    const queue = createCallQueue('hand-off', 0);
    const waiters = waitersOf(queue, 'NNNN');
    const unlucky = at(waiters, 3);
    let answers = 0;
    let step: string;
    do {
      // Another leaves and is back before the answer is looked at.
      queue.leave(at(waiters, 0));
      queue.enter(at(waiters, 0), false);
      step = queue.threadLimit(unlucky);
      answers++;
    } while (step === 'call');
    expect({ step, answers }).toEqual({ step: 'sleep', answers: 1 });
    expect(queue.state().counters.capacity).toBe(3);
  });

  it('pauses instead of sleeping if no call is inside that could wake the caller', () => {
    const queue = createCallQueue('hand-off', 2);
    const waiters = waitersOf(queue, 'N');
    expect(queue.threadLimit(at(waiters, 0))).toBe('pause');
    expect(queue.state().counters.capacity).toBe(2);
  });

  it('reserves nothing while only one thread is known to work', () => {
    const queue = createCallQueue('hand-off', 2);
    queue.reserve();
    const waiters = waitersOf(queue, 'SN');
    queue.threadLimit(at(waiters, 1));
    queue.leave(at(waiters, 0));
    expect(at(waiters, 1).phase).toBe('entered');
  });
});

describe('relief calls under hand-off', () => {
  function enter(queue: CallQueue, kinds: readonly string[]) {
    return kinds.map((kind, label) => {
      const waiter = new CallWaiter(label);
      queue.enter(waiter, kind.includes('S'), kind.includes('relief'));
      return waiter;
    });
  }
  const entered = (waiters: readonly CallWaiter[]) =>
    waiters.filter(({ phase }) => phase === 'entered').map(({ label }) => label);

  it('go before all earlier calls, those of system sessions first', () => {
    const queue = createCallQueue('hand-off', 1);
    const waiters = enter(queue, ['N', 'N', 'S', 'relief', 'S relief']);
    const order: number[] = [];
    for (let inside = 0; order.push(inside) < waiters.length; inside = entered(waiters)[0] ?? -1)
      queue.leave(at(waiters, inside));
    expect(order).toEqual([0, 4, 3, 2, 1]);
  });

  it('have a thread kept for them on request, and use it one at a time', () => {
    const queue = createCallQueue('hand-off', 3, true);
    const waiters = enter(queue, ['N', 'N', 'N', 'S', 'relief', 'relief']);
    expect(entered(waiters)).toEqual([0, 1, 4]);
    queue.leave(at(waiters, 4));
    expect(entered(waiters)).toEqual([0, 1, 5]);
    queue.leave(at(waiters, 5));
    expect(entered(waiters)).toEqual([0, 1]);
    expect(queue.state().counters).toMatchObject({ free: 1, normal_in_flight: 2, relief_in_flight: 0 });
  });

  it('do not use the thread reserved for system calls, unless they belong to a system session', () => {
    const queue = createCallQueue('hand-off', 2);
    queue.reserve();
    expect(entered(enter(queue, ['N', 'relief', 'S']))).toEqual([0, 2]);
    const other = createCallQueue('hand-off', 2);
    other.reserve();
    expect(entered(enter(other, ['N', 'S relief', 'relief']))).toEqual([0, 1]);
  });

  it('and system calls need three threads to have one reserved for each', () => {
    expect(createCallQueue('hand-off', 2, true).reserve()).toBe(false);
    const queue = createCallQueue('hand-off', 3, true);
    expect(queue.reserve()).toBe(true);
    expect(entered(enter(queue, ['N', 'N', 'relief', 'S']))).toEqual([0, 2, 3]);
  });

  it('have none kept with a single thread or an unknown capacity', () => {
    expect(entered(enter(createCallQueue('hand-off', 1, true), ['N']))).toEqual([0]);
    expect(entered(enter(createCallQueue('hand-off', 0, true), ['N', 'N']))).toEqual([0, 1]);
  });

  it.each(['linux-6.7', 'patch-v6', 'linux-6.8'] as const)('are ordinary calls for %s', (discipline) => {
    const [plain, told] = [createCallQueue(discipline, 2), createCallQueue(discipline, 2, true)];
    const kinds = ['N', 'relief', 'S relief', 'N'];
    const one = enter(
      plain,
      kinds.map((kind) => kind.replace('relief', '')),
    );
    const other = enter(told, kinds);
    for (const label of [1, 0]) {
      expect(told.state()).toEqual(plain.state());
      plain.leave(at(one, label));
      told.leave(at(other, label));
    }
    expect(told.state()).toEqual(plain.state());
  });
});

describe('a queue used against its rules', () => {
  it.each(['linux-6.7', 'patch-v6', 'linux-6.8', 'hand-off', 'hand-off-a'] as const)('%s refuses', (discipline) => {
    const queue = createCallQueue(discipline, 2);
    const waiter = new CallWaiter(0);
    expect(() => queue.leave(waiter)).toThrow('leave: caller 0 is outside, expected entered');
    expect(() => queue.threadLimit(waiter)).toThrow('threadLimit: caller 0 is outside');
    expect(() => queue.resume(waiter)).toThrow('resume: caller 0 is outside');
    queue.enter(waiter, false);
    expect(() => queue.enter(waiter, false)).toThrow('enter: caller 0 is entered, expected outside');
    expect(() => queue.resume(waiter)).toThrow('resume: caller 0');
  });

  it('is not created with an invalid thread count', () => {
    expect(() => createCallQueue('hand-off', -1)).toThrow(RangeError);
    expect(() => createCallQueue('hand-off', 1.5)).toThrow('thread count 1.5');
  });
});
