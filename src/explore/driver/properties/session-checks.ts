import type { QueueState } from '../../../optee/call-queue/call-queue.js';
import { type MsgArg, OpteeMsgCmd } from '../../../protocol/optee-msg.js';
import type { Invocation } from '../../../scenario/journal/run-journal.js';
import type { TimedTraceEvent } from '../../../trace/trace.js';

/** The parts of a run that the session checks use. */
export interface SessionSurroundings {
  readonly queueState: () => QueueState | undefined;
  /** The number of the latest invocation of any client. */
  readonly lastInvocation: () => number;
  /** The number of the invocation to which a message belongs, if its application gets the number. */
  readonly invocationOf: (message: MsgArg) => number | undefined;
  /** Invocations of the client with this label to which a call that begins now can belong. */
  readonly candidates: (label: string) => readonly Invocation[];
  readonly says: (property: 'sessionsInOrder' | 'systemSessions', what: string) => void;
}

/** Counters of reservations, by their names in the disciplines. */
const reservationCounters = ['reservations', 'res_sys_thread_count', 'sys_thread_req_count'];

/**
 * Checks sessions by the trace, and by the messages that enter secure world. The state of a session when its client
 * begins a call applies to that call; later changes apply to later calls. A message tells to which of several
 * invocations a call belongs, if the scenario describes the application. Otherwise a property counts as broken only if
 * it is broken for all of them.
 */
export class SessionChecks {
  /** Whether each open invoke is made as a system call. */
  private readonly calls = new Map<number, boolean>();
  /** Sessions whose close has begun, with the latest invocation before it. */
  private readonly closing = new Map<number, number>();
  /** Open system sessions, with the latest invocation before they became one. */
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
        if (event.purpose === 'close-session') this.closes(event.call, event.session, event.system);
        else if (event.purpose === 'invoke') this.invokes(event.call, event.context, event.session, event.system);
        break;
      case 'call-end':
        this.calls.delete(event.call);
        break;
      default:
        break;
    }
  };

  /** A call enters secure world with this message. */
  readonly enters = (call: number, message: MsgArg): void => {
    if (message.cmd !== OpteeMsgCmd.invokeCommand) return;
    const number = this.run.invocationOf(message);
    const system = this.calls.get(call);
    if (number !== undefined && system !== undefined) this.judge(call, message.session, system, [number]);
  };

  private closes(call: number, session: number, system: boolean): void {
    if (system !== this.system.has(session))
      this.run.says(
        'systemSessions',
        `call ${call} closes session ${session} as a ${system ? 'system' : 'normal'} call, unlike its session`,
      );
    if (this.closing.has(session)) this.run.says('sessionsInOrder', `session ${session} is closed twice`);
    this.closing.set(session, this.run.lastInvocation());
  }

  private invokes(call: number, label: string, session: number, system: boolean): void {
    this.calls.set(call, system);
    const candidates = this.run.candidates(label);
    if (candidates.length > 0)
      this.judge(
        call,
        session,
        system,
        candidates.map(({ number }) => number),
      );
  }

  /** @param invocations the call belongs to one of these. */
  private judge(call: number, session: number, system: boolean, invocations: readonly number[]): void {
    const closedAfter = this.closing.get(session);
    if (closedAfter !== undefined && invocations.every((number) => number > closedAfter))
      this.run.says('sessionsInOrder', `call ${call} is made on session ${session}, whose close had already begun`);
    const systemAfter = this.system.get(session) ?? Number.POSITIVE_INFINITY;
    if (invocations.every((number) => number > systemAfter !== system) && closedAfter === undefined)
      this.run.says(
        'systemSessions',
        `call ${call} is made as a ${system ? 'system' : 'normal'} call, unlike session ${session} at the start of the call`,
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
