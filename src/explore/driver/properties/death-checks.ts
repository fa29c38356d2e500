import type { CallPurpose, TimedTraceEvent } from '../../../trace/trace.js';

/** What the checks of the dead ask of the run. */
export interface DeathSurroundings {
  /** The client with this label has died. */
  readonly died: (label: string) => boolean;
  /** A client with this label closes sessions itself: which close is whose is then not known here. */
  readonly closesItself: (label: string) => boolean;
  readonly says: (property: 'openedForTheDead' | 'closedAfterCalls', what: string) => void;
}

interface OpenSession {
  readonly label: string;
  /** It was opened when its client had died. */
  readonly late: boolean;
  closing: boolean;
}

interface OpenCall {
  readonly label: string;
  readonly purpose: CallPurpose;
  readonly session: number;
}

/**
 * Watches what becomes of a client that dies with calls in flight, wherever they are: asleep in the queue, inside, or on their
 * way. An opening that is still asleep comes back before its client counts as gone, and what it opened is closed then. A
 * session is closed when its own calls are back: not before, as its application would end a call beside its close; and not
 * later, as somebody else may want the application.
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
            'openedForTheDead',
            `call ${call} uses session ${session}, whose client ${label} had died before`,
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

  /** A client that died counts as gone. */
  readonly gone = (label: string): void => {
    for (const [call, its] of this.calls)
      if (its.label === label)
        this.run.says(
          'openedForTheDead',
          `${label} counts as gone, and its call ${call} (${its.purpose}) is under way`,
        );
    for (const [session, its] of this.sessions)
      if (its.label === label)
        this.run.says('openedForTheDead', `${label} counts as gone, and its session ${session} is open`);
  };

  /** Nothing moves but time. */
  still(): void {
    const open = [...this.calls.values()];
    // A call may wait for memory for its message, and has not begun here.
    if (open.some(({ purpose }) => purpose === 'register-shm')) return;
    for (const [session, { label, late, closing }] of this.sessions) {
      if (late || closing || !this.run.died(label) || this.run.closesItself(label)) continue;
      // One is closed after the other.
      if (open.some((call) => call.label === label && call.purpose === 'close-session')) continue;
      if (open.some((call) => call.purpose === 'invoke' && call.session === session)) continue;
      this.run.says(
        'closedAfterCalls',
        `${label} died, its calls on session ${session} are back, and it is not closed`,
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
          `session ${session} of ${label}, which died, is closed beside its call ${call}`,
        );
  }
}
