import { describe, expect, it } from 'vitest';
import { CallWaiter } from '../../../src/optee/call-queue/call-queue.js';
import { WaiterList } from '../../../src/optee/call-queue/waiter-list.js';

const labels = (list: WaiterList) => Array.from(list, (waiter) => waiter.label);

function listOf(...waiters: CallWaiter[]): WaiterList {
  const list = new WaiterList();
  for (const waiter of waiters) list.pushTail(waiter);
  return list;
}

describe('WaiterList', () => {
  it('keeps the order of arrival, and puts a waiter in front when asked', () => {
    const list = listOf(new CallWaiter(0), new CallWaiter(1));
    list.pushHead(new CallWaiter(2));
    expect(labels(list)).toEqual([2, 0, 1]);
  });

  it.each([
    ['head', 0, [1, 2]],
    ['middle', 1, [0, 2]],
    ['tail', 2, [0, 1]],
  ])('takes out the %s and stays linked both ways', (_place, index, rest) => {
    const waiters = [new CallWaiter(0), new CallWaiter(1), new CallWaiter(2)];
    const list = listOf(...waiters);
    const taken = waiters[index];
    if (taken === undefined) throw new Error('no such waiter');
    list.remove(taken);
    expect(labels(list)).toEqual(rest);
    expect([taken.next, taken.previous]).toEqual([undefined, undefined]);

    const backwards: number[] = [];
    for (let waiter = list.tail; waiter !== undefined; waiter = waiter.previous) backwards.unshift(waiter.label);
    expect(backwards).toEqual(rest);
  });

  it('is empty again after its only waiter left, and can be used again', () => {
    const waiter = new CallWaiter(7);
    const list = listOf(waiter);
    list.remove(waiter);
    expect(list.isEmpty()).toBe(true);
    list.pushHead(waiter);
    expect(labels(list)).toEqual([7]);
    expect(list.tail).toBe(waiter);
  });
});
