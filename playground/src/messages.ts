import type { DisciplineName } from '../../src/optee/call-queue/call-queue.js';
import type { ScenarioResult } from '../../src/scenario/scenario-result.js';

/** A request to the worker. */
export interface Task {
  readonly kind: 'run' | 'explore';
  readonly text: string;
  readonly seed: number;
  readonly queues: readonly DisciplineName[];
  /** The number of threads in place of the file's; undefined: the file's. */
  readonly threads: number | undefined;
  /** The same for the number of clients, of each kind of client that makes calls on its own. */
  readonly clients: number | undefined;
  /** The largest number of runs of an exploration. */
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

/** A run that violates a property, with its steps. */
export interface Counterexample {
  readonly property: string;
  readonly what: readonly string[];
  readonly steps: readonly Step[];
  readonly trace: NamedTrace;
}

/** The state after an event. */
export interface Step {
  readonly time: number;
  readonly event: string;
  /** Calls that got a wake-up in this event. */
  readonly woken: readonly string[];
  /** By thread context: the call that holds it, and what that call does. */
  readonly threads: readonly ({ readonly call: string; readonly doing: string } | undefined)[];
  readonly asleep: readonly string[];
  /**
   * The queue's lists, head first: callers with the names that the driver gives them, followed by + if they were woken.
   */
  readonly lists: readonly { readonly name: string; readonly waiters: readonly string[] }[];
  readonly counters: readonly { readonly name: string; readonly value: number }[];
}
