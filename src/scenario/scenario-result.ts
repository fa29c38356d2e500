import type { DisciplineName } from '../optee/call-queue/call-queue.js';
import type { Percentiles } from './journal/percentiles.js';
import type { ThreadChange } from './run/thread-recorder.js';

/** What can become of a run. */
export const OUTCOMES = [
  /** Everybody came through, in time. */
  'finished',
  /** Calls wait for each other, for ever. */
  'deadlock',
  /** A call waits for something that never comes: an answer to its RPC, a supplicant, a notification. */
  'stuck',
  /** The queue let a call down: it came later than its deadline, or sleeps beside a free thread. */
  'starved',
  /** Nothing was wrong, but not everybody was through at the scenario's limit. */
  'cut-off',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface ScenarioResult {
  readonly title: string;
  readonly about: string;
  readonly seed: number;
  readonly runs: readonly RunResult[];
}

/** What became of a scenario under one discipline. Times are virtual milliseconds from when all sessions were open. */
export interface RunResult {
  readonly queue: DisciplineName;
  readonly outcome: Outcome;
  /** Why, in sentences. */
  readonly explanation: readonly string[];
  readonly duration: number;
  /** From when on calls were waiting that never return: when the circle of a deadlock closed. Null when all may return. */
  readonly hangsSince: number | null;
  /** Clients in the circle of a deadlock that could have asked for a system session, and did not. */
  readonly withoutSession: readonly string[];
  readonly clients: readonly ClientResult[];
  readonly systemSessions: { readonly asked: number; readonly granted: number };
  /** Wake-ups that went to a call that was awake while another slept on. */
  readonly swallowedWakeUps: number;
  /** What each thread context did. */
  readonly threads: readonly (readonly ThreadChange[])[];
  /** How many calls slept in the queue, at each change. */
  readonly asleep: readonly { readonly time: number; readonly calls: number }[];
}

/** The calls of one kind of client: latency from the invoke to its answer. Nothing where there was no answer. */
export interface ClientResult extends Percentiles {
  readonly name: string;
  readonly system: boolean;
  /** Calls that were answered, an error being an answer. */
  readonly calls: number;
  /** Calls that were not answered when the run ended. */
  readonly unanswered: number;
  /** Those of them that may still be answered. */
  readonly inFlight: number;
  /** Answered calls, and unanswered ones, that took longer than the deadline. */
  readonly late: number;
  readonly failed: number;
}
