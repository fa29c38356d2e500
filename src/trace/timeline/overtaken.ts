import { CallState, type Timeline } from './timeline.js';

/**
 * Calls that were overtaken: while they slept in the queue, later calls of their class (normal, system) entered secure
 * world. Returns their number, and the largest number of calls that overtook one of them. A call that secure world
 * refused has not entered.
 */
export function overtaken(timeline: Timeline): { readonly calls: number; readonly most: number } {
  const { callCount, callSystem, callEntered, callEnteredRecord, callEndRecord, callFirstSegment } = timeline;
  /** By record: a call first falls asleep, and later enters or ends. */
  const events: { readonly record: number; readonly call: number; readonly asleep: boolean }[] = [];
  for (let call = 0; call < callCount; call++) {
    const entered = Number.isNaN(callEntered.at(call)) ? Number.POSITIVE_INFINITY : callEnteredRecord.at(call);
    for (let index = callFirstSegment.at(call); index >= 0; index = timeline.segmentNext.at(index)) {
      if (timeline.segmentState.at(index) !== CallState.queue) continue;
      events.push({ record: timeline.segmentStartRecord.at(index), call, asleep: true });
      break;
    }
    events.push({ record: Math.min(entered, callEndRecord.at(call)), call, asleep: false });
  }
  events.sort((one, other) => one.record - other.record);
  const entries = [new LaterCalls(callCount), new LaterCalls(callCount)];
  /** By sleeper: the number of later calls that had entered when it fell asleep. */
  const before = new Map<number, number>();
  let calls = 0;
  let most = 0;
  for (const { record, call, asleep } of events) {
    const sameClass = entries[callSystem.at(call)];
    if (sameClass === undefined) continue;
    if (asleep) {
      before.set(call, sameClass.after(call));
      continue;
    }
    const known = before.get(call);
    if (known !== undefined) {
      const times = sameClass.after(call) - known;
      if (times > 0) calls++;
      most = Math.max(most, times);
    }
    if (record === callEnteredRecord.at(call)) sameClass.add(call);
  }
  return { calls, most };
}

/**
 * Counts calls with a larger index that have entered, with a Fenwick tree, so that each operation takes logarithmic
 * time.
 */
class LaterCalls {
  private readonly sums: Uint32Array;

  constructor(private readonly calls: number) {
    this.sums = new Uint32Array(calls + 1);
  }

  add(call: number): void {
    for (let at = this.calls - call; at <= this.calls; at += at & -at) this.sums[at] = (this.sums[at] ?? 0) + 1;
  }

  after(call: number): number {
    let sum = 0;
    for (let at = this.calls - call - 1; at > 0; at -= at & -at) sum += this.sums[at] ?? 0;
    return sum;
  }
}
