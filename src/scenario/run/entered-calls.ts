import type { CallPurpose, TimedTraceEvent } from '../../trace/event.js';
import type { RunJournal } from '../journal/run-journal.js';

/** Relief calls: they end or wake other calls, or release resources that these may wait for. */
const reliefPurposes: ReadonlySet<CallPurpose> = new Set(['cancel', 'bottom-half', 'close-session', 'unregister-shm']);

/** Tracks the calls of a run: the thread of each, the number of returns, and the number of sleeping calls. */
export class EnteredCalls {
  /** The number of calls that returned. */
  count = 0;
  /** The number of calls asleep in the queue, at each change. */
  asleep: { time: number; calls: number }[] = [];
  /** Whether a relief call slept in the queue. */
  reliefSlept = false;
  /** The id of the call that entered secure world last. */
  private entering = 0;

  /** @param threads the number of threads of secure world. */
  constructor(
    private readonly journal: RunJournal,
    private readonly threads: number,
  ) {}

  /** Reset the counts. */
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

  /**
   * Secure world allocated a thread for the call that entered last. @param otherFree the number of other free threads.
   */
  readonly taken = (thread: number, otherFree: number): void => {
    const call = this.journal.calls.get(this.entering);
    if (call === undefined) return;
    call.thread = thread;
    if (call.system && otherFree === 0 && this.threads > 1) this.journal.enteredByReserve++;
  };

  /** The id of the call that runs in a thread context. */
  callIn(thread: number): number {
    for (const call of this.journal.calls.values()) if (call.thread === thread) return call.id;
    // It allocated the context in the current step.
    return this.entering;
  }
}
