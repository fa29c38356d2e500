import type { QueueState } from '../../../optee/call-queue/call-queue.js';
import type { TimedTraceEvent } from '../../../trace/trace.js';

/** The properties that are checked in every run of the whole driver, with the meaning of a violation. */
export const RUN_PROPERTIES = {
  finished: 'a client did not finish',
  callsAnsweredOnce: 'a call ended twice, or had not ended at the end of the run',
  rpcsToTheirThread: 'a call was resumed in, or suspended with, the thread of another',
  resourcesReleased: 'sessions or shared memory remained after all clients had exited, or after a client died',
  usableAgain: 'a new client could not use an application after all clients had exited',
  failuresExplained: 'a call failed although no fault affected it',
  answersChecked: 'an answer that violates the protocol, or reports a failure, was accepted as a success',
  memoryHeld: 'memory was released, changed or used for another call while secure world used it for a call',
  dataArrived: 'data written by a call did not arrive in the memory of its client',
  sessionsInOrder:
    'a session was used after its close began, was closed twice, or stayed open without its client knowing',
  systemSessions:
    'the class of a call differs from its session at the start of the call, or a reservation did not end with its session',
  reliefGoesFirst:
    'a relief call waited behind a call that it would end or wake, or while a thread that it may use was free',
  exitedAfterCalls:
    'a client that died counted as exited before its calls had returned, or a session that was opened for it stayed open',
  closedAfterCalls:
    'a session of a client that died was closed before its calls had returned, or stayed open after they had returned',
  queueCounts: 'a counter of the call queue was below zero, or not at its initial value after all clients had exited',
} as const;

export type RunProperty = keyof typeof RUN_PROPERTIES;

export const RUN_PROPERTY_NAMES = Object.keys(RUN_PROPERTIES) as readonly RunProperty[];

/** Checks one run by its trace and its queue. */
export class RunChecks {
  /** The violation of each broken property, as sentences. */
  readonly broken = new Map<RunProperty, readonly string[]>();
  private readonly open = new Set<number>();
  private readonly ended = new Set<number>();
  /** The call that is suspended in each thread of secure world. */
  private readonly threads = new Map<number, number>();

  constructor(private readonly queueState: () => QueueState | undefined) {}

  readonly listen = (event: TimedTraceEvent): void => {
    switch (event.type) {
      case 'call-begin':
        this.open.add(event.call);
        break;
      case 'world-exit':
        if (event.thread !== undefined) this.suspend(event.call, event.thread);
        // Finally returned. Its thread may get another call before it has left the queue.
        else this.freeThreads(event.call);
        break;
      case 'call-end':
        if (!this.open.delete(event.call)) {
          this.break(
            'callsAnsweredOnce',
            `call ${event.call} ended ${this.ended.has(event.call) ? 'twice' : 'unbegun'}`,
          );
        }
        this.ended.add(event.call);
        this.freeThreads(event.call);
        this.checkQueue();
        break;
      default:
        break;
    }
  };

  /** The run has ended and all clients have gone. */
  atEnd(): void {
    if (this.open.size > 0) this.break('callsAnsweredOnce', `calls ${[...this.open].join(', ')} never ended`);
    const { counters = {}, lists = {} } = this.queueState() ?? {};
    for (const [name, waiters] of Object.entries(lists)) {
      if (waiters.length > 0) this.break('queueCounts', `${name} still holds ${waiters.length}`);
    }
    for (const name of [
      'normal_in_flight',
      'system_in_flight',
      'reservations',
      'res_sys_thread_count',
      'sys_thread_req_count',
    ]) {
      if ((counters[name] ?? 0) !== 0) this.break('queueCounts', `${name} is ${counters[name]} at the end`);
    }
  }

  /** @param what sentences; empty: no violation. The first violation of a property is kept. */
  break(property: RunProperty, ...what: readonly string[]): void {
    if (what.length > 0 && !this.broken.has(property)) this.broken.set(property, what);
  }

  private suspend(call: number, thread: number): void {
    const other = this.threads.get(thread);
    if (other !== undefined && other !== call) {
      this.break('rpcsToTheirThread', `call ${call} was suspended in thread ${thread}, which call ${other} uses`);
    }
    this.threads.set(thread, call);
  }

  private freeThreads(call: number): void {
    for (const [thread, other] of this.threads) if (other === call) this.threads.delete(thread);
  }

  private checkQueue(): void {
    for (const [name, value] of Object.entries(this.queueState()?.counters ?? {})) {
      if (value < 0) this.break('queueCounts', `${name} is ${value}`);
    }
  }
}
