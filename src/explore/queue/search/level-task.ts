import type { ModelConfig } from '../model/queue-model.js';
import type { PropertyName } from '../properties/properties.js';
import type { SharedStates } from '../states/shared-state-store.js';
import type { StateForm } from '../states/state-codec.js';
import type { Breach } from './expander.js';

/** The task of a worker: expand states of this level while fewer than `stopAt` records are taken. */
export interface LevelTask {
  readonly config: ModelConfig;
  readonly form: StateForm;
  readonly shared: SharedStates;
  /** The number after the last state of the level. */
  readonly end: number;
  readonly depth: number;
  readonly stopAt: number;
}

export interface LevelDone {
  readonly transitions: number;
  readonly breaches: readonly (readonly [PropertyName, Breach])[];
  readonly occasions: number;
  readonly looksFurther: boolean;
  /** A record that was taken but not used. */
  readonly spare: number | null;
  /** Memory for the worker's known steps in bytes. */
  readonly bytesKnown: number;
}
