import type { Session } from '../client/session.js';
import type { Tee } from '../client/tee.js';
import type { ScenarioClient } from './scenario.js';

/** What a client of a scenario makes its calls through. */
export interface Port {
  /** System sessions that it asked for, and got. */
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  /** @param invocation its number, for applications that are told. */
  invoke(command: string, invocation: number): Promise<unknown>;
}

/** How reports name a call, where the name of its command does not say all. */
export type CommandTitle = (command: string, client: ScenarioClient) => string;

/** One session with an application, a system session where the client asks for it and it can be had. */
export async function openSession(
  tee: Tee,
  uuid: string,
  { kernel, system }: ScenarioClient,
  label: string,
): Promise<{ readonly session: Session; readonly systemSessions: Port['systemSessions'] }> {
  if (!kernel)
    return { session: await tee.openContext({ label }).openSession(uuid), systemSessions: { asked: 0, granted: 0 } };
  const session = await tee.openKernelContext({ label }).openSession(uuid);
  const granted = system && session.systemSession();
  return { session, systemSessions: { asked: Number(system), granted: Number(granted) } };
}
