import { describe, expect, it } from 'vitest';
import { RunJournal } from '../../src/scenario/journal/run-journal.js';

const begin = { type: 'call-begin', context: 'a', purpose: 'invoke', session: 1, system: false, time: 0 } as const;

/** Calls 1 and 2 are inside secure world, in threads 0 and 1, and call 3 sleeps. */
function twoInsideAndOneAsleep(): RunJournal {
  const journal = new RunJournal(
    () => 0,
    () => 0,
  );
  for (const call of [1, 2, 3]) journal.record({ ...begin, call });
  for (const call of [1, 2]) {
    journal.record({ type: 'world-enter', call, function: 0, time: 0 });
    const open = journal.calls.get(call);
    if (open !== undefined) open.thread = call - 1;
  }
  journal.record({ type: 'queue-sleep', call: 3, limit: false, time: 0 });
  return journal;
}

describe('the journal of a run with other calls between two steps of a call', () => {
  it('records that a call has no thread after its return, although it has not left the queue', () => {
    const journal = twoInsideAndOneAsleep();
    journal.record({ type: 'world-exit', call: 1, a0: 0, time: 0 });
    expect(journal.calls.get(1)).toMatchObject({ thread: undefined, state: { at: 'door' } });
  });

  it('counts a wake-up as lost when the call that gave it leaves, and only then', () => {
    const journal = twoInsideAndOneAsleep();
    // As when a reservation ends: it is of no call.
    journal.record({ type: 'queue-wake', call: 2, by: 0, asleep: false, time: 0 });
    journal.record({ type: 'call-end', call: 1, smcReturn: 0, time: 0 });
    expect(journal.swallowed).toBe(0);

    const other = twoInsideAndOneAsleep();
    other.record({ type: 'queue-wake', call: 2, by: 1, asleep: false, time: 0 });
    other.record({ type: 'call-end', call: 1, smcReturn: 0, time: 0 });
    expect(other.swallowed).toBe(1);
    expect(other.calls.get(3)?.passedOver).toMatchObject({ from: { id: 1 }, to: { id: 2 }, inside: true });
  });
});

describe('the journal of an invocation of several calls', () => {
  it('assigns the last of them to it, unless its client has another invocation', async () => {
    const journal = new RunJournal(
      () => 0,
      () => 0,
    );
    const task = { name: 'a', call: () => undefined, waitsFor: undefined };
    const about = { client: 'a', label: 'a', application: 'x', command: 'list', task, priority: 0, random: () => 0 };
    await journal.invocation(about, async (invocation) => {
      journal.record({ ...begin, call: 1 });
      await Promise.resolve();
      journal.record({ type: 'call-end', call: 1, smcReturn: 0, time: 0 });
      journal.record({ ...begin, call: 2 });
      expect(invocation.call?.id).toBe(2);
      await journal.invocation(about, async () => {
        journal.record({ ...begin, call: 3 });
        await Promise.resolve();
        journal.record({ ...begin, call: 4 });
      });
      expect(invocation.call?.id).toBe(2);
    });
  });
});
