import type { CallPurpose, TimedTraceEvent } from '../../trace/event.js';
import type { RunJournal } from '../journal/run-journal.js';

/** Calls that end or wake others, or give back what these may wait for. */
const reliefPurposes: ReadonlySet<CallPurpose> = new Set(['cancel', 'bottom-half', 'close-session', 'unregister-shm']);

/** Keeps count of the calls of a run: which of them is in which thread, how many came back and how many sleep. */
export class EnteredCalls {
  /** That came back. */
  count = 0;
  /** How many slept in the queue, from when on. */
  asleep: { time: number; calls: number }[] = [];
  /** A relief call slept in the queue. */
  reliefSlept = false;
  /** The call that entered secure world last. */
  private entering = 0;

  /** @param threads of secure world. */
  constructor(
    private readonly journal: RunJournal,
    private readonly threads: number,
  ) {}

  /** What was until now does not count. */
  forget(): void {
    this.count = 0;
    this.asleep = [];
  }

  readonly record = (event: TimedTraceEvent): void => {
    const { journal } = this;
    if (event.type === 'world-enter') this.entering = event.call;
    const before = journal.asleep;
    journal.record(event);
    if (event.type === 'call-end') this.count++;
    if (event.type === 'queue-sleep')
      this.reliefSlept ||= reliefPurposes.has(journal.calls.get(event.call)?.purpose ?? 'unknown');
    if (journal.asleep !== before) this.asleep.push({ time: event.time, calls: journal.asleep });
  };

  /** Secure world took a thread for the call that entered last. @param otherFree how many others are free. */
  readonly taken = (thread: number, otherFree: number): void => {
    const call = this.journal.calls.get(this.entering);
    if (call === undefined) return;
    call.thread = thread;
    if (call.system && otherFree === 0 && this.threads > 1) this.journal.enteredByReserve++;
  };

  /** The call that runs in a thread context. */
  callIn(thread: number): number {
    for (const call of this.journal.calls.values()) if (call.thread === thread) return call.id;
    // It took the context in this very step.
    return this.entering;
  }
}
