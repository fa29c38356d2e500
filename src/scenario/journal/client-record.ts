import type { ScenarioClient } from '../scenario.js';
import type { Invocation, OpenCall } from './run-journal.js';

/** The results of the calls of one kind of client. */
export interface ClientRecord {
  readonly client: ScenarioClient;
  /** Milliseconds from the invoke to its answer, in order of the answers. */
  readonly latencies: number[];
  /** The number of failed calls, by the name of their error. */
  readonly failures: Map<string, number>;
  /** The answered call that took longest. */
  worst: LongCall | undefined;
  /** The number of system sessions requested, and granted. */
  systemSessions: { asked: number; granted: number };
  /** The number of these clients that died. */
  deaths: number;
}

/** A client that died. */
export interface Death {
  readonly label: string;
  readonly at: number;
  /** When all of its resources had been released; undefined until then. */
  released: number | undefined;
}

/** A call of a client that returned an error. */
export interface FailedCall {
  readonly client: ScenarioClient;
  readonly label: string;
  readonly invocation: Invocation;
  readonly codeName: string;
  /** Whether a thread of the client had closed the session, or freed memory, when the call ended. */
  readonly closed: boolean;
}

/**
 * A call with its duration, its time asleep in the queue, and its time asleep there while a thread was free for it, all
 * in milliseconds.
 */
export interface LongCall {
  readonly call: OpenCall;
  readonly latency: number;
  readonly asleep: number;
  readonly besideFree: number;
  /** Time asleep in the queue of the calls that registered its memory before. */
  readonly toRegister: number;
}
