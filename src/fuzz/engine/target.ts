import type { FuzzInput, Grammar, Step } from '../input/grammar.js';
import type { Verdict } from './verdict.js';

/** A system under test. */
export interface Target {
  /** Its name on the command line and in files: `ta`, `smc`. */
  readonly name: string;
  /** The UUID of the application under test, for targets with one. */
  readonly uuid?: string;
  readonly grammar: Grammar;
  /**
   * Whether inputs run on a machine whose executions are never exactly repeatable, so that their measured durations may
   * decide which are executed. False if the same seed is to give the same run.
   */
  readonly isTimed: boolean;
  /** The initial inputs; most are valid. */
  readonly seeds: readonly FuzzInput[];
  /** Start a fresh instance. @throws Error if it cannot be started. */
  open(): Promise<Harness>;
  /** A description of a step. */
  describe(step: Step): string;
}

/** A running instance of a target. */
export interface Harness extends AsyncDisposable {
  /** Version and build, for files. */
  readonly about: string;
  /** True if no more inputs can be executed on this instance. */
  readonly isDead: boolean;
  /** Execute an input. @returns its verdicts; empty if nothing is wrong. */
  execute(input: FuzzInput): Promise<readonly Verdict[]>;
  /**
   * Read and clear the coverage since the last call.
   * @param each called with a feature's number, below `featureCount`, and its hit count, at most 255.
   */
  drain(each: (feature: number, count: number) => void): void;
}
