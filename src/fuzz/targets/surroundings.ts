import type { OpenTeeOptions } from '../../open-tee.js';
import type { SecureWorld } from '../../protocol/secure-world.js';
import type { Field, FuzzInput, Step } from '../input/grammar.js';

/** What an application's world is made to be, besides its client: what secure world asks for, loads, and keeps there. */
export interface Surroundings {
  readonly tee: Partial<OpenTeeOptions>;
  readonly between?: (world: SecureWorld) => SecureWorld;
  /** A step of these surroundings. */
  apply(step: Step): void;
  /** An input is over: nothing of it goes on. */
  settle(): void;
}

/** A target's surroundings: made anew for each machine. */
export interface SurroundingsKind {
  readonly steps: Readonly<Record<string, Readonly<Record<string, Field>>>>;
  readonly weights: Readonly<Record<string, number>>;
  readonly seeds: readonly FuzzInput[];
  make(): Surroundings;
}
