import type { QueueState } from '../optee/call-queue/call-queue.js';
import type { Trace } from '../trace/trace.js';
import type { OpenCall, RunJournal } from './run-journal.js';

/**
 * Notice wake-ups that are swallowed: a call returns while others sleep, and the wake-up of its return goes to one that
 * is awake already. Linux's queues keep both on one list and cannot tell them apart.
 */
export function watchWakeUps(trace: Trace, journal: RunJournal, queueState: () => QueueState | undefined): void {
  /** Calls with a wake-up that they have no use for. */
  let holding = new Set<number>();
  trace.listen((event) => {
    if (event.type !== 'call-end') return;
    if (journal.asleep === 0) {
      holding = new Set();
      return;
    }
    const waiters = Object.values(queueState()?.lists ?? {}).flat();
    const awake = waiters.filter(({ completed, phase }) => completed && phase === 'entered');
    const sleepers = waiters.filter(({ completed, phase }) => !completed && phase.startsWith('asleep'));
    const fresh = awake.find(({ label }) => !holding.has(label));
    holding = new Set(awake.map(({ label }) => label));
    const to = fresh && journal.calls.get(fresh.label);
    // A waiter of hand-off that was just woken is entered as well: it has been handed its thread.
    const from = journal.lastEnded;
    if (from === undefined || to === undefined || to.state.at === 'queue' || sleepers.length === 0) return;
    journal.swallowed++;
    const swallowed = { time: event.time, from, to, inside: isInside(to) };
    for (const { label } of sleepers) {
      const sleeper = journal.calls.get(label);
      if (sleeper !== undefined) sleeper.passedOver = swallowed;
    }
  });
}

const isInside = ({ state }: OpenCall) => state.at === 'secure' || state.at === 'rpc';
