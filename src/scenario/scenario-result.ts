import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import type { Percentiles } from './journal/percentiles.js';
import type { ThreadChange } from './run/thread-recorder.js';

/** The possible outcomes of a run. */
export const OUTCOMES = [
  /** All clients finished, in time. */
  'finished',
  /** Calls wait for each other in a cycle. */
  'deadlock',
  /** A call waits for something that never comes: an answer to its RPC, a supplicant, a notification. */
  'stuck',
  /** The queue failed a call: it missed its deadline, or sleeps although a thread is free for it. */
  'starved',
  /** No failure, but not all clients had finished at the scenario's limit. */
  'cut-off',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** The results of a scenario with one seed: one run per discipline. */
export interface ScenarioResult {
  readonly title: string;
  readonly about: string;
  readonly seed: number;
  readonly runs: readonly RunResult[];
}

/** The result under one discipline. Times are virtual milliseconds since all sessions were open. */
export interface RunResult {
  readonly queue: DisciplineName;
  readonly outcome: Outcome;
  /** The explanation, as sentences. */
  readonly explanation: readonly string[];
  /** Virtual milliseconds. */
  readonly duration: number;
  /**
   * When calls began to wait that never return; for a deadlock, when the cycle closed. Null if all calls may return.
   */
  readonly hangsSince: number | null;
  /** Clients in the cycle of a deadlock that could have requested a system session but did not. */
  readonly withoutSession: readonly string[];
  readonly clients: readonly ClientResult[];
  /** The number of system sessions requested, and granted. */
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  /** The number of wake-ups that went to a call that was awake while another one slept. */
  readonly swallowedWakeUps: number;
  /** The uses of each thread context over time. */
  readonly threads: readonly (readonly ThreadChange[])[];
  /** The number of calls asleep in the queue, at each change. */
  readonly asleep: readonly { readonly time: number; readonly calls: number }[];
}

/** The calls of one kind of client, with latencies from the invoke to its answer. Null if there was no answer. */
export interface ClientResult extends Percentiles {
  readonly name: string;
  /** Whether the client requests system sessions. */
  readonly system: boolean;
  /** The number of answered calls; an error is an answer. */
  readonly calls: number;
  /** The number of calls without an answer at the end of the run. */
  readonly unanswered: number;
  /** The number of unanswered calls that may still be answered. */
  readonly inFlight: number;
  /** The number of calls, answered or not, that took longer than the deadline. */
  readonly late: number;
  /** The number of answered calls whose answer is an error. */
  readonly failed: number;
}
