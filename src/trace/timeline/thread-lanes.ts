import { maxThreads } from '../event.js';
import { NumberHeap } from './number-heap.js';

/** The calls of a trace, in order of their beginning. */
export interface TracedCalls {
  /** Number of threads that secure world announced, if it did. */
  readonly table: { readonly subject: { readonly threads?: number | undefined } };
  readonly callCount: number;
  /** The thread that a call held; -1 if it was not recorded, until `assignThreads` sets it. */
  readonly callThread: Column;
  /** 1 if it was recorded. */
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

/** Larger than any record number. */
const never = 2 ** 33;

/**
 * Assign a thread to every call that entered secure world. Secure world only reports the thread when it leaves with an
 * RPC; for other calls it is inferred: of the threads that no other call held during that time, the one that is needed
 * again soonest, and the lowest of several. If the number of threads was announced, or the record shows the threads, no
 * further ones are invented: a call for which none is left gets -1.
 * @returns the number of threads: announced, recorded, or as many as necessary.
 */
export function assignThreads(calls: TracedCalls): {
  readonly threads: number;
  readonly from: 'announced' | 'recorded' | 'inferred';
} {
  const { callThread, callThreadKnown, callEntered, callCount } = calls;
  // By record and not by time, because in virtual time many events have the same time.
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
  /** Threads without recorded calls. They are equivalent, so the lowest is used. */
  const plain = new NumberHeap();
  for (let thread = 0; thread < threads; thread++) if (!known.has(thread)) plain.push(thread, thread);
  /** Those in use, by the record at which they become free. */
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
    // A thread without further recorded calls is equivalent to one without any; use the lower number.
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
