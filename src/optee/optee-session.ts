import type { Uuid } from '../protocol/uuid.js';

/** Linux's `struct optee_session`. */
export interface OpteeSession {
  readonly id: number;
  /** The UUID of its application. */
  readonly uuid: Uuid;
  /** Its calls may use a reserved thread: Linux's `use_sys_thread`. */
  system: boolean;
  /** Number of its invokes in flight. */
  calls: number;
  /** Number of those without a cancellation of their own. */
  uncancelled: number;
  /** Called when the last of them returns, if the context is closing. */
  idle: (() => void) | undefined;
}

/** The driver's data of a client context: Linux's `struct optee_context_data`. */
export interface ContextData {
  readonly sessions: Map<number, OpteeSession>;
  /** Number of system sessions among them. */
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
 * Whether a cancellation in this session is a relief call: only the first for each pending call is. Secure world
 * remembers the first; with an unlimited number, clients could keep other calls out.
 */
export function takesRelief(session: OpteeSession): boolean {
  if (session.uncancelled === 0) return false;
  session.uncancelled--;
  return true;
}
