import type { Uuid } from '../protocol/uuid.js';
import type { TeeContext } from '../tee/tee-context.js';
import type { CallPurpose } from '../trace/event.js';

/** Where a call is between two worlds. */
export interface CallSwitches {
  /** Whether the call is on its way into secure world, and all processors are there. */
  waitsForProcessor(): boolean;
}

/** One yielding call, from its arrival at the queue to its return. */
export interface Call {
  /** Numbered from 1 in the order in which calls begin: the label in the queue's state and in traces. */
  readonly id: number;
  readonly context: TeeContext;
  readonly purpose: CallPurpose;
  /** The session it belongs to; 0 if none. */
  readonly session: number;
  /** It belongs to a system session and may use a reserved thread. */
  readonly system: boolean;
  /**
   * It goes before others: see `CallQueue.enter`. `if-idle`: only if its application has no call inside when it enters.
   */
  readonly relief: boolean | 'if-idle';
  /** The application that it is for; undefined if none. */
  readonly application: Uuid | undefined;
  /** It has been admitted: it is in secure world, on its way there, or on its way back. */
  inside: boolean;
  /** Its world switches, once it has been admitted. */
  switches: CallSwitches | undefined;
  /** The first problem in the normal world while serving it, for messages: it may explain the result. */
  trouble: string | undefined;
  /** Links of the list of calls in flight. */
  next: Call | undefined;
  previous: Call | undefined;
}
