import type { CallPurpose, TimedTraceEvent } from '../../../trace/trace.js';

/** The parts of a run that the checks of dead clients use. */
export interface DeathSurroundings {
  /** Whether the client with this label has died. */
  readonly died: (label: string) => boolean;
  /** Whether a client with this label closes sessions itself; a close is then not attributed to its death. */
  readonly closesItself: (label: string) => boolean;
  readonly says: (property: 'exitedAfterCalls' | 'closedAfterCalls', what: string) => void;
}

interface OpenSession {
  readonly label: string;
  /** It was opened after its client had died. */
  readonly late: boolean;
  closing: boolean;
}

interface OpenCall {
  readonly label: string;
  readonly purpose: CallPurpose;
  readonly session: number;
}

/**
 * Checks what happens to a client that dies with calls in flight: asleep in the queue, in secure world, or in between.
 * An opening that is still asleep must return before the client counts as exited, and its session must then be closed. A
 * session must be closed after its own calls have returned: not before, because its application would execute a call
 * beside the close; and not later, because another client may want the application.
 */
export class DeathChecks {
  private readonly calls = new Map<number, OpenCall>();
  private readonly sessions = new Map<number, OpenSession>();

  constructor(private readonly run: DeathSurroundings) {}

  readonly listen = (event: TimedTraceEvent): void => {
    switch (event.type) {
      case 'session-open':
        this.sessions.set(event.session, {
          label: event.context,
          late: this.run.died(event.context),
          closing: false,
        });
        break;
      case 'session-close':
        this.sessions.delete(event.session);
        break;
      case 'call-begin': {
        const { call, context: label, purpose, session } = event;
        if (purpose === 'close-session') this.closes(label, session);
        if (purpose === 'invoke' && this.sessions.get(session)?.late === true)
          this.run.says(
            'exitedAfterCalls',
            `call ${call} uses session ${session}, which was opened after its client ${label} had died`,
          );
        this.calls.set(call, { label, purpose, session });
        break;
      }
      case 'call-end':
        this.calls.delete(event.call);
        break;
      default:
        break;
    }
  };

  /** A dead client counts as exited. */
  readonly gone = (label: string): void => {
    for (const [call, its] of this.calls)
      if (its.label === label)
        this.run.says(
          'exitedAfterCalls',
          `${label} counts as exited although its call ${call} (${its.purpose}) has not returned`,
        );
    for (const [session, its] of this.sessions)
      if (its.label === label)
        this.run.says('exitedAfterCalls', `${label} counts as exited although its session ${session} is open`);
  };

  /** Only time can advance now. */
  still(): void {
    const open = [...this.calls.values()];
    // A call may wait for memory for its message, and has not begun yet.
    if (open.some(({ purpose }) => purpose === 'register-shm')) return;
    for (const [session, { label, late, closing }] of this.sessions) {
      if (late || closing || !this.run.died(label) || this.run.closesItself(label)) continue;
      // Sessions are closed one after the other.
      if (open.some((call) => call.label === label && call.purpose === 'close-session')) continue;
      if (open.some((call) => call.purpose === 'invoke' && call.session === session)) continue;
      this.run.says(
        'closedAfterCalls',
        `session ${session} of ${label}, which died, is still open although its calls have returned`,
      );
    }
  }

  private closes(label: string, session: number): void {
    const its = this.sessions.get(session);
    if (its !== undefined) its.closing = true;
    if (!this.run.died(label) || this.run.closesItself(label)) return;
    for (const [call, other] of this.calls)
      if (other.purpose === 'invoke' && other.session === session)
        this.run.says(
          'closedAfterCalls',
          `session ${session} of ${label}, which died, is closed although its call ${call} has not returned`,
        );
  }
}
