import type { OpenTeeOptions } from '../../open-tee.js';
import type { SecureWorld } from '../../protocol/secure-world.js';
import type { Field, FuzzInput, Step } from '../input/grammar.js';

/** The environment of the application under test besides its client: RPC answers, images, secure storage. */
export interface Surroundings {
  readonly tee: Partial<OpenTeeOptions>;
  readonly between?: (world: SecureWorld) => SecureWorld;
  /** Execute a step that changes the environment. */
  apply(step: Step): void;
  /** The input has ended: remove its pending changes. */
  settle(): void;
}

/** A kind of surroundings, instantiated for each machine. */
export interface SurroundingsKind {
  readonly steps: Readonly<Record<string, Readonly<Record<string, Field>>>>;
  readonly weights: Readonly<Record<string, number>>;
  readonly seeds: readonly FuzzInput[];
  make(): Surroundings;
}
