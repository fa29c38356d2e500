/** A trace of a million events for benchmarks of the page and of exports. */
import { encodeEvent, MemoryRecorder } from '../dist/trace/index.js';

const clients = 64;
const threads = 8;
const calls = 100_000;

/**
 * Calls of 64 clients on 8 threads: each sleeps in the queue, is woken by the call before it, makes an RPC to the
 * supplicant and one for a notification, and returns. 12 events a call.
 *
 * @returns {{ bytes: Uint8Array, events: number }} a trace file.
 */
export function millionEvents() {
  const recorder = new MemoryRecorder({ maxBytes: 2 ** 28 });
  recorder.describe({ title: 'A million events', world: 'simulated', queue: 'linux-6.8', threads, clock: 'virtual' });
  const pending = [];
  let events = 0;
  const put = (time, event) => pending.push({ time, event });
  for (let call = 1; call <= calls; call++) {
    const begin = call * 0.5;
    // Different lengths, without a random source.
    const work = 1 + ((call * 7919) % 97) / 40;
    const thread = call % threads;
    const [cmd, function_] = [0xffff_0005, 0x3200_0004];
    put(begin, {
      type: 'call-begin',
      call,
      context: `client ${call % clients}`,
      purpose: 'invoke',
      session: 1 + (call % clients),
      system: call % 16 === 0,
    });
    put(begin + 0.01, { type: 'queue-sleep', call, limit: false });
    put(begin + work, { type: 'queue-wake', call, by: Math.max(0, call - threads), asleep: call % 5 !== 0 });
    put(begin + work + 0.02, { type: 'world-enter', call, function: function_ });
    put(begin + work + 1, { type: 'world-exit', call, a0: cmd, thread });
    put(begin + work + 1, { type: 'rpc-begin', call, command: 2 });
    put(begin + work + 2, { type: 'rpc-end', call, command: 2, result: 0 });
    put(begin + work + 2.01, { type: 'world-enter', call, function: 0x3200_0003 });
    put(begin + work + 2.5, { type: 'world-exit', call, a0: 0 });
    put(begin + work + 2.51, { type: 'call-end', call, smcReturn: 0 });
    // Write the events before the next call's beginning, in order of time.
    if (call % 1000 === 0 || call === calls) {
      pending.sort((one, other) => one.time - other.time);
      const until = call === calls ? Number.POSITIVE_INFINITY : begin;
      const ready = pending.findIndex(({ time }) => time > until);
      for (const { time, event } of pending.splice(0, ready < 0 ? pending.length : ready)) {
        encodeEvent(recorder, time, event);
        events++;
      }
    }
  }
  return { bytes: recorder.toBytes(), events };
}
