import type { StorableCallQueue } from '../../../optee/call-queue/storable.js';
import type { PropertyName } from '../properties/properties.js';

export interface ExploreOptions {
  /** Keep one state of all that differ only in who is who among callers that do the same (default: true). */
  readonly symmetric?: boolean;
  /** Bounds; where one is met, what is not broken by then is `bounded`. */
  readonly maxStates?: number;
  readonly maxMiB?: number;
  readonly maxSeconds?: number;
  /** Ends the search as a bound does. */
  readonly signal?: AbortSignal;
  /** Called a few times a second. */
  readonly progress?: (progress: Progress) => void;
  /** Worker threads for a large search (default: one a core). */
  readonly workers?: number;
  /** Makes the queue to explore, when it is not the discipline's own. */
  readonly createQueue?: () => StorableCallQueue;
}

export interface Progress {
  readonly states: number;
  /** States not yet expanded. */
  readonly frontier: number;
  /** Steps from the start. */
  readonly depth: number;
  readonly transitions: number;
  readonly seconds: number;
  readonly mebibytes: number;
  readonly broken: readonly PropertyName[];
}

export type Bound = 'states' | 'memory' | 'time' | 'interrupted';
