import type { Context, KernelContext } from '../../client/context.js';
import type { Parameters } from '../../client/parameters.js';
import { KernelSession, type Session } from '../../client/session.js';
import type { ScenarioClient } from '../scenario.js';

/** What a client of a scenario makes its calls through. */
export interface Port {
  /** System sessions that it asked for, and got. */
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  /**
   * @param invocation its number, for applications that are told.
   * @param signal cancels it, of modelled applications.
   */
  invoke(command: string, invocation: number, signal?: AbortSignal): Promise<unknown>;
  /** Its session alone goes, its memory alone; it asks for a system session: of modelled applications. */
  closeSession?(): Promise<void>;
  free?(): Promise<void>;
  systemSession?(): boolean;
  /** Its sessions and shared memory go. */
  close(): Promise<void>;
}

/** How reports name a call, where the name of its command does not say all. */
export type CommandTitle = (command: string, client: ScenarioClient) => string;

/** One session with an application, a system session where the client asks for it and it can be had. */
export async function openSession(
  context: Context | KernelContext,
  uuid: string,
  { system }: ScenarioClient,
  parameters: Parameters = [],
): Promise<{ readonly session: Session; readonly systemSessions: Port['systemSessions'] }> {
  const session = await context.openSession(uuid, { parameters });
  if (!system || !(session instanceof KernelSession)) return { session, systemSessions: { asked: 0, granted: 0 } };
  return { session, systemSessions: { asked: 1, granted: Number(session.systemSession()) } };
}
