import type { CallWaiter, WaiterState } from './call-queue.js';

/**
 * An intrusive doubly linked list of waiters (`next`, `previous`). Every operation takes constant time and allocates
 * nothing. A waiter is on at most one list; the disciplines ensure this by its phase.
 */
export class WaiterList implements Iterable<CallWaiter> {
  head: CallWaiter | undefined = undefined;
  tail: CallWaiter | undefined = undefined;

  isEmpty(): boolean {
    return this.head === undefined;
  }

  pushTail(waiter: CallWaiter): void {
    const tail = this.tail;
    waiter.previous = tail;
    waiter.next = undefined;
    if (tail === undefined) this.head = waiter;
    else tail.next = waiter;
    this.tail = waiter;
  }

  pushHead(waiter: CallWaiter): void {
    const head = this.head;
    waiter.previous = undefined;
    waiter.next = head;
    if (head === undefined) this.tail = waiter;
    else head.previous = waiter;
    this.head = waiter;
  }

  /** Remove a waiter that is on this list. */
  remove(waiter: CallWaiter): void {
    const { next, previous } = waiter;
    if (previous === undefined) this.head = next;
    else previous.next = next;
    if (next === undefined) this.tail = previous;
    else next.previous = previous;
    waiter.next = undefined;
    waiter.previous = undefined;
  }

  *[Symbol.iterator](): Iterator<CallWaiter> {
    for (let waiter = this.head; waiter !== undefined; waiter = waiter.next) yield waiter;
  }

  /** The waiters in order, head first, as plain data. */
  state(): WaiterState[] {
    return Array.from(this, ({ label, system, completed, phase }) => ({ label, system, completed, phase }));
  }
}
