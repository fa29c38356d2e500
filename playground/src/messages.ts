import type { DisciplineName } from '../../src/optee/call-queue/call-queue.js';
import type { ScenarioResult } from '../../src/scenario/scenario-result.js';

/** What a worker is asked to do with a scenario. */
export interface Task {
  readonly kind: 'run' | 'explore';
  readonly text: string;
  readonly seed: number;
  readonly queues: readonly DisciplineName[];
  /** In place of what the file says; undefined: as it says. */
  readonly threads: number | undefined;
  /** Of each kind of client that makes calls of itself. */
  readonly clients: number | undefined;
  /** For an exploration: the most runs. */
  readonly runs: number;
}

export interface NamedTrace {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export type Answer =
  | { readonly kind: 'progress'; readonly words: string }
  | { readonly kind: 'ran'; readonly result: ScenarioResult; readonly traces: readonly NamedTrace[] }
  | {
      readonly kind: 'explored';
      readonly words: readonly string[];
      readonly counterexample: Counterexample | undefined;
    }
  | { readonly kind: 'failed'; readonly message: string };

/** A run that breaks a property, to be stepped through. */
export interface Counterexample {
  readonly property: string;
  readonly what: readonly string[];
  readonly steps: readonly Step[];
  readonly trace: NamedTrace;
}

/** What is so after an event. */
export interface Step {
  readonly time: number;
  readonly event: string;
  /** Calls that got a wake-up in it. */
  readonly woken: readonly string[];
  /** By thread context: the call that holds it, and what that does. */
  readonly threads: readonly ({ readonly call: string; readonly doing: string } | undefined)[];
  readonly asleep: readonly string[];
  /** The queue's lists, head first: callers as the driver counts them, + where a wake-up was given. */
  readonly lists: readonly { readonly name: string; readonly waiters: readonly string[] }[];
  readonly counters: readonly { readonly name: string; readonly value: number }[];
}
