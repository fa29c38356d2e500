import type { Uuid } from '../protocol/uuid.js';

/** Linux's `struct optee_session`. */
export interface OpteeSession {
  readonly id: number;
  /** Its application. */
  readonly uuid: Uuid;
  /** Its calls may use the thread kept in reserve: Linux's `use_sys_thread`. */
  system: boolean;
  /** Its invokes in flight. */
  calls: number;
  /** Of these, how many have no cancellation of their own yet. */
  uncancelled: number;
  /** Called when the last of them returns, in a context that closes. */
  idle: (() => void) | undefined;
}

/** What the driver keeps of a client context: Linux's `struct optee_context_data`. */
export interface ContextData {
  readonly sessions: Map<number, OpteeSession>;
  /** How many of them are system sessions. */
  systemSessions: number;
  callsInFlight: number;
  closing: boolean;
  /** Called when the last call of a closing context returns. */
  idle: (() => void) | undefined;
}

export function beginInvoke(session: OpteeSession): void {
  session.calls++;
  session.uncancelled++;
}

export function endInvoke(session: OpteeSession): void {
  session.calls--;
  session.uncancelled = Math.min(session.uncancelled, session.calls);
  if (session.calls === 0) session.idle?.();
}

/**
 * A cancellation of the session's calls is a relief call: the first for each call. Secure world remembers that one, and
 * with more of them clients could keep others out for ever.
 */
export function takesRelief(session: OpteeSession): boolean {
  if (session.uncancelled === 0) return false;
  session.uncancelled--;
  return true;
}
