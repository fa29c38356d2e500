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
  it('hands a freed thread to the caller that has slept longest, who then needs no second look', () => {
    const queue = createCallQueue('hand-off', 1);
    const waiters = waitersOf(queue, 'NNN');
    const woken: number[] = [];
    for (const waiter of waiters) waiter.wake = () => woken.push(waiter.label);
    queue.leave(at(waiters, 0));
    expect(woken).toEqual([1]);
    expect(queue.resume(at(waiters, 1))).toBe('call');
    expect(queue.state().counters).toMatchObject({ capacity: 1, free: 0, normal_in_flight: 1, exits: 1 });
  });

  it('lets nobody overtake: a newcomer sleeps while an earlier caller of its class does', () => {
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

  it('keeps a thread free of normal calls while a system session exists, and gives it back when it closes', () => {
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

  it('learns from ETHREAD_LIMIT that secure world is short, and puts the caller back at the head', () => {
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

  it('lets a caller be told ETHREAD_LIMIT only so often, however many calls return in between', () => {
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

  it('pauses rather than sleeps when nobody is inside who could wake the caller', () => {
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

  it('is not made with a thread count that no secure world has', () => {
    expect(() => createCallQueue('hand-off', -1)).toThrow(RangeError);
    expect(() => createCallQueue('hand-off', 1.5)).toThrow('thread count 1.5');
  });
});
