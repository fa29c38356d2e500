import type { Call } from './call.js';

/** Calls in order of arrival. The list is intrusive, because every call enters and leaves it. */
export class CallList {
  private first: Call | undefined;
  private last: Call | undefined;

  add(call: Call): void {
    call.previous = this.last;
    if (this.last === undefined) this.first = call;
    else this.last.next = call;
    this.last = call;
  }

  remove(call: Call): void {
    const { next, previous } = call;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.last = previous;
    else next.previous = previous;
    call.next = undefined;
    call.previous = undefined;
  }

  *[Symbol.iterator](): Iterator<Call> {
    for (let call = this.first; call !== undefined; call = call.next) yield call;
  }
}
