import type { Timeline } from './timeline.js';

/**
 * Give every call that entered secure world the thread that it held. Secure world says which only when it leaves with an
 * RPC; a call without one gets the lowest thread that no other call held in that time, as OP-TEE takes the first free one.
 * @returns the number of threads.
 */
export function assignThreads(timeline: Timeline): number {
  const { callThread, callThreadKnown, callEntered, callCount } = timeline;
  // By record, not by time: in virtual time much happens at once.
  const { callEnteredRecord: entered, callEndRecord: ended } = timeline;
  let threads = timeline.table.subject.threads ?? 0;
  const known: number[][] = [];
  for (let call = 0; call < callCount; call++) {
    if (callThreadKnown.at(call) === 0) continue;
    const thread = callThread.at(call);
    threads = Math.max(threads, thread + 1);
    while (known.length <= thread) known.push([]);
    known[thread]?.push(call);
  }
  // Calls that begin earlier may enter later.
  for (const calls of known) calls.sort((a, b) => entered.at(a) - entered.at(b));
  const unknown: number[] = [];
  for (let call = 0; call < callCount; call++)
    if (callThreadKnown.at(call) === 0 && !Number.isNaN(callEntered.at(call))) unknown.push(call);
  unknown.sort((a, b) => entered.at(a) - entered.at(b));

  /** Until when each thread is taken by a call that was given it here. */
  const takenUntil: number[] = [];
  /** The next call of each thread that was recorded there. */
  const next: number[] = [];
  for (const call of unknown) {
    const start = entered.at(call);
    const end = ended.at(call);
    let thread = 0;
    for (; ; thread++) {
      if ((takenUntil[thread] ?? 0) > start) continue;
      const calls = known[thread] ?? [];
      let index = next[thread] ?? 0;
      while (index < calls.length && ended.at(calls[index] ?? 0) <= start) index++;
      next[thread] = index;
      const following = calls[index];
      if (following === undefined || entered.at(following) >= end) break;
    }
    takenUntil[thread] = end;
    callThread.set(call, thread);
    threads = Math.max(threads, thread + 1);
  }
  return threads;
}
