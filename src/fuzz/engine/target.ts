import type { FuzzInput, Grammar, Step } from '../input/grammar.js';
import type { Verdict } from './verdict.js';

/** Something that inputs are executed on. */
export interface Target {
  /** As the command line and files name it: `ta`, `smc`. */
  readonly name: string;
  /** The application it is about, for those that are about one. */
  readonly uuid?: string;
  readonly grammar: Grammar;
  /** Where to begin: inputs that are right, mostly. */
  readonly seeds: readonly FuzzInput[];
  /** A fresh one. @throws Error when it cannot be had. */
  open(): Promise<Harness>;
  /** What a step does, in words. */
  describe(step: Step): string;
}

/** A target that runs. */
export interface Harness extends AsyncDisposable {
  /** What runs: version and build, for files. */
  readonly about: string;
  /** It can execute nothing more. */
  readonly isDead: boolean;
  /** @returns what of it may not be. */
  execute(input: FuzzInput): Promise<readonly Verdict[]>;
  /**
   * What was covered since the last time, which is cleared.
   * @param each gets a feature's number, below `featureCount`, and how often it was met, up to 255.
   */
  drain(each: (feature: number, count: number) => void): void;
}
