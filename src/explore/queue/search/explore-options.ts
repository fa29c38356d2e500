import type { StorableCallQueue } from '../../../optee/call-queue/storable.js';
import type { PropertyName } from '../properties/properties.js';

/** Options of `explore`. */
export interface ExploreOptions {
  /** Store one state for all that differ only in the identity of interchangeable callers. Default: true. */
  readonly symmetric?: boolean;
  /** Bounds. If one is reached, properties that are not broken are `bounded`. */
  readonly maxStates?: number;
  readonly maxMiB?: number;
  readonly maxSeconds?: number;
  /** Ends the search like a bound. */
  readonly signal?: AbortSignal;
  /** Called a few times per second. */
  readonly progress?: (progress: Progress) => void;
  /** Worker threads for a large search. Default: one per processor. */
  readonly workers?: number;
  /** Creates the queue to explore. Default: the discipline's own. */
  readonly createQueue?: () => StorableCallQueue;
}

/** Progress of an exploration. */
export interface Progress {
  readonly states: number;
  /** The number of states that are not expanded yet. */
  readonly frontier: number;
  /** The number of steps from the start. */
  readonly depth: number;
  readonly transitions: number;
  readonly seconds: number;
  readonly mebibytes: number;
  readonly broken: readonly PropertyName[];
}

export type Bound = 'states' | 'memory' | 'time' | 'interrupted';
