import type { QueueState } from '../../optee/call-queue/call-queue.js';
import type { Invocation } from '../../scenario/journal/run-journal.js';
import type { TimedTraceEvent } from '../../trace/trace.js';

/** What the checks of sessions ask of the run. */
export interface SessionSurroundings {
  readonly queueState: () => QueueState | undefined;
  /** The number of the last invocation that a client has begun. */
  readonly lastInvocation: () => number;
  /** Invocations of the client with this label that could have made a call that begins now. */
  readonly candidates: (label: string) => readonly Invocation[];
  readonly says: (property: 'sessionsInOrder' | 'systemSessions', what: string) => void;
}

/** Counters of reservations, by the names that the disciplines have for them. */
const reservationCounters = ['reservations', 'res_sys_thread_count', 'sys_thread_req_count'];

/**
 * Watches sessions by the trace. What a call may do with a session is decided when its client begins it: later changes are for
 * later calls. Which of several invocations of one client a call is of cannot always be told; a property is broken only when
 * it is whichever it was.
 */
export class SessionChecks {
  /** Sessions whose close began, with the last invocation that was begun before. */
  private readonly closing = new Map<number, number>();
  /** Open system sessions, with the last invocation that was begun before they became that. */
  private readonly system = new Map<number, number>();

  constructor(private readonly run: SessionSurroundings) {}

  readonly listen = (event: TimedTraceEvent): void => {
    switch (event.type) {
      case 'session-open':
        this.closing.delete(event.session);
        break;
      case 'system-session':
        if (event.granted && !this.system.has(event.session)) this.system.set(event.session, this.run.lastInvocation());
        this.checkReservations();
        break;
      case 'session-close':
        this.system.delete(event.session);
        this.checkReservations();
        break;
      case 'call-begin':
        if (event.purpose === 'close-session') this.closes(event.session);
        else if (event.purpose === 'invoke') this.invokes(event.call, event.context, event.session, event.system);
        break;
      default:
        break;
    }
  };

  private closes(session: number): void {
    if (this.closing.has(session)) this.run.says('sessionsInOrder', `session ${session} is closed twice`);
    this.closing.set(session, this.run.lastInvocation());
  }

  private invokes(call: number, label: string, session: number, system: boolean): void {
    const candidates = this.run.candidates(label);
    if (candidates.length === 0) return;
    const closedAfter = this.closing.get(session);
    if (closedAfter !== undefined && candidates.every(({ number }) => number > closedAfter))
      this.run.says('sessionsInOrder', `call ${call} is made on session ${session}, whose close had begun before it`);
    const systemAfter = this.system.get(session) ?? Number.POSITIVE_INFINITY;
    if (candidates.every(({ number }) => number > systemAfter !== system) && closedAfter === undefined)
      this.run.says(
        'systemSessions',
        `call ${call} is made as a ${system ? 'system' : 'normal'} call, which session ${session} was not for when it began`,
      );
  }

  private checkReservations(): void {
    const { counters = {} } = this.run.queueState() ?? {};
    for (const name of reservationCounters) {
      const count = counters[name];
      if (count !== undefined && count !== this.system.size)
        this.run.says('systemSessions', `${name} is ${count} with ${this.system.size} system sessions open`);
    }
  }
}
