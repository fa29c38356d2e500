import type { ScenarioClient } from '../scenario.js';
import type { Invocation, OpenCall } from './run-journal.js';

/** What became of the calls of one kind of client. */
export interface ClientRecord {
  readonly client: ScenarioClient;
  /** Milliseconds from the invoke to its answer, in the order in which the answers came. */
  readonly latencies: number[];
  /** Calls that failed, by the name of their error. */
  readonly failures: Map<string, number>;
  /** The call that took longest, of those that were answered. */
  worst: LongCall | undefined;
  /** System sessions that were asked for, and granted. */
  systemSessions: { asked: number; granted: number };
  /** How many of these clients died. */
  deaths: number;
}

/** A client that died. */
export interface Death {
  readonly label: string;
  readonly at: number;
  /** When all that it had was given back; undefined as long as it is not. */
  released: number | undefined;
}

/** A call of a client that came back with an error. */
export interface FailedCall {
  readonly client: ScenarioClient;
  readonly label: string;
  readonly invocation: Invocation;
  readonly codeName: string;
  /** A thread of the client had closed the session, or memory was freed, when the call ended. */
  readonly closed: boolean;
}

/** A call with the milliseconds that it took, slept in the queue, and slept there although a thread was free for it. */
export interface LongCall {
  readonly call: OpenCall;
  readonly latency: number;
  readonly asleep: number;
  readonly besideFree: number;
  /** What the calls slept there that registered its memory first. */
  readonly toRegister: number;
}
