import type { Context, KernelContext } from '../../client/context.js';
import type { ClientRecord } from '../journal/client-record.js';
import type { Port } from '../pieces/port.js';
import type { RunningApplication } from '../pieces/running-application.js';
import type { ScenarioClient } from '../scenario.js';

/** One client, and its interfaces to applications. */
export interface RunningClient {
  readonly client: ScenarioClient;
  readonly label: string;
  readonly record: ClientRecord;
  /** By name; empty for a device of secure world. Steps that name no application use the first one. */
  readonly applications: ReadonlyMap<string, RunningApplication>;
  readonly context: Context | KernelContext;
  /** Its sessions and memory, shared with its further threads. */
  readonly has: Belongings;
  /** The client that owns the session: another one for a further thread, otherwise itself. */
  readonly owner: ScenarioClient;
  /** Its index among the clients of its kind, from 0. */
  readonly number: number;
}

export interface Belongings {
  /** By application; empty between the rounds of a client that opens a session for each round. */
  readonly ports: Map<string, Port>;
  /** A step closed the session and none was opened since, so calls must fail. */
  closed: boolean;
  /** The number of times that a step closed it. */
  closings: number;
}
