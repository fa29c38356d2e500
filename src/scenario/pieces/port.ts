import type { Context, KernelContext } from '../../client/context.js';
import type { Parameters } from '../../client/parameters.js';
import { KernelSession, type Session } from '../../client/session.js';
import type { ScenarioClient } from '../scenario.js';

/** The interface of a scenario's client to an application. */
export interface Port {
  /** The number of system sessions requested, and granted. */
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  /**
   * @param invocation its number, passed to modelled applications.
   * @param signal cancels the call; only for modelled applications.
   */
  invoke(command: string, invocation: number, signal?: AbortSignal): Promise<unknown>;
  /** Close only the session, free only the memory, request a system session. Only for modelled applications. */
  closeSession?(): Promise<void>;
  free?(): Promise<void>;
  systemSession?(): boolean;
  /** Close its sessions and free its shared memory. */
  close(): Promise<void>;
}

/** The title of a call in reports, for commands whose name is not specific enough. */
export type CommandTitle = (command: string, client: ScenarioClient) => string;

/** Open one session with an application; a system session if the client requests it and it is granted. */
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
