import { maxThreads } from '../event.js';
import { NumberHeap } from './number-heap.js';

/** Calls of a trace in the order in which they began. */
export interface TracedCalls {
  /** How many threads secure world announced, where it did. */
  readonly table: { readonly subject: { readonly threads?: number | undefined } };
  readonly callCount: number;
  /** The thread that a call held: recorded, else -1, and given by `assignThreads`. */
  readonly callThread: Column;
  /** 1: it was recorded. */
  readonly callThreadKnown: Column;
  /** NaN for a call that never entered. */
  readonly callEntered: Column;
  readonly callEnteredRecord: Column;
  readonly callEndRecord: Column;
}

/** A number for each call. */
interface Column {
  at(call: number): number;
  set(call: number, value: number): void;
}

/** Behind every record. */
const never = 2 ** 33;

/**
 * Give every call that entered secure world the thread that it held. Secure world says which only when it leaves with an
 * RPC; the others are inferred: a call without one gets, of the threads that no other call held in that time, the one that is
 * needed again soonest, the lowest of several. Where secure world said how many threads it has, or where the record shows its
 * threads, none is made up beside them: a call for which none is left gets -1.
 * @returns the number of threads: announced, or recorded, or as many as it takes.
 */
export function assignThreads(calls: TracedCalls): {
  readonly threads: number;
  readonly from: 'announced' | 'recorded' | 'inferred';
} {
  const { callThread, callThreadKnown, callEntered, callCount } = calls;
  // By record, not by time: in virtual time much happens at once.
  const { callEnteredRecord: entered, callEndRecord: ended } = calls;
  const announced = calls.table.subject.threads ?? 0;
  let threads = announced;
  const known = new Map<number, number[]>();
  const unknown: number[] = [];
  for (let call = 0; call < callCount; call++) {
    const thread = callThread.at(call);
    if (callThreadKnown.at(call) === 1) {
      threads = Math.max(threads, thread + 1);
      const held = known.get(thread);
      if (held === undefined) known.set(thread, [call]);
      else held.push(call);
      continue;
    }
    if (!Number.isNaN(callEntered.at(call))) unknown.push(call);
  }
  // Calls that begin earlier may enter later.
  const byEntry = (one: number, other: number) => entered.at(one) - entered.at(other);
  for (const calls of known.values()) calls.sort(byEntry);
  unknown.sort(byEntry);

  const seen = threads;
  const most = announced > 0 ? threads : maxThreads;
  /** Threads that no call is recorded on: all the same, so the lowest is taken. */
  const plain = new NumberHeap();
  for (let thread = 0; thread < threads; thread++) if (!known.has(thread)) plain.push(thread, thread);
  /** Those of them that are taken, by the record at which they are free. */
  const taken = new NumberHeap();
  const recorded = Array.from(known, ([thread, calls]) => ({ thread, calls, next: 0, takenUntil: 0 }));
  recorded.sort((one, other) => one.thread - other.thread);
  for (const call of unknown) {
    const start = entered.at(call);
    const end = ended.at(call);
    while (taken.firstKey <= start) {
      const thread = taken.pop();
      plain.push(thread, thread);
    }
    let best: (typeof recorded)[number] | undefined;
    let bestUntil = Number.POSITIVE_INFINITY;
    for (const lane of recorded) {
      if (lane.takenUntil > start) continue;
      while (lane.next < lane.calls.length && ended.at(lane.calls[lane.next] ?? 0) <= start) lane.next++;
      const following = lane.calls[lane.next];
      const until = following === undefined ? never : entered.at(following);
      if (until < end || until >= bestUntil) continue;
      best = lane;
      bestUntil = until;
    }
    const lowest = plain.length > 0 ? plain.firstKey : threads;
    // A thread on which nothing comes any more is as good as one without any record: then the lower one.
    if (best !== undefined && (bestUntil < never || best.thread < lowest)) {
      best.takenUntil = end;
      callThread.set(call, best.thread);
      continue;
    }
    if (plain.length > 0) plain.pop();
    else if (threads < most) threads++;
    else continue;
    taken.push(end, lowest);
    callThread.set(call, lowest);
  }
  return { threads, from: seen === announced && seen > 0 ? 'announced' : threads === seen ? 'recorded' : 'inferred' };
}
