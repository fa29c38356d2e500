import type { Uuid } from '../protocol/uuid.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { CallPurpose } from '../trace/event.js';

/** One yielding call, from its place in the queue to its return. */
export interface Call {
  /** Numbered from 1 in the order in which calls begin: the label in the queue's state and in traces. */
  readonly id: number;
  readonly context: TeeContext;
  readonly purpose: CallPurpose;
  /** The session it belongs to; 0 when to none. */
  readonly session: number;
  /** It belongs to a system session and may use the thread kept in reserve. */
  readonly system: boolean;
  /** It goes before others: see `CallQueue.enter`. `if-idle`: unless its application has a call inside when it enters. */
  readonly relief: boolean | 'if-idle';
  /** The application that it is for; undefined when for none. */
  readonly application: Uuid | undefined;
  /** It has been let in: it is inside secure world, on its way there, or on its way back. */
  inside: boolean;
  /** The first thing that the normal world could not do for it, for people: it may explain the result. */
  trouble: string | undefined;
  /** Its neighbours among the calls in flight. */
  next: Call | undefined;
  previous: Call | undefined;
}
