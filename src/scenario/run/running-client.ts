import type { Context, KernelContext } from '../../client/context.js';
import type { ClientRecord } from '../journal/client-record.js';
import type { Port } from '../pieces/port.js';
import type { RunningApplication } from '../pieces/running-application.js';
import type { ScenarioClient } from '../scenario.js';

/** One client, with what it calls through. */
export interface RunningClient {
  readonly client: ScenarioClient;
  readonly label: string;
  readonly record: ClientRecord;
  /** By name; none of a device of secure world. The first is that of the steps that name none. */
  readonly applications: ReadonlyMap<string, RunningApplication>;
  readonly context: Context | KernelContext;
  /** What it has, together with its further threads. */
  readonly has: Belongings;
  /** The client whose session it uses, when it is a further thread of another. */
  readonly owner: ScenarioClient;
  /** Which of the clients of its kind, from 0. */
  readonly number: number;
}

export interface Belongings {
  /** By application; none between the rounds of a client that opens one for each. */
  readonly ports: Map<string, Port>;
  /** The session was closed by a step, and none opened since: calls fail as they must. */
  closed: boolean;
  /** How often a step closed it. */
  closings: number;
}
