import type { RunProperty } from './run-checks.js';

/** What happened in a run, or in at least one run of an exploration. */
export interface Occasions {
  /** A relief call slept in the queue. */
  readonly reliefSlept: boolean;
  /** A client died. */
  readonly clientDied: boolean;
  /** All clients finished, so that what remains after them was checked. */
  readonly reachedEnd: boolean;
}

/** The reason why no run of an exploration could have violated the property; undefined if one could have. */
export function notTriedBecause(
  name: RunProperty,
  { reliefSlept, clientDied, reachedEnd }: Occasions,
): string | undefined {
  switch (name) {
    case 'usableAgain':
      return reachedEnd ? undefined : 'in no run did all clients finish';
    case 'resourcesReleased':
      return reachedEnd || clientDied ? undefined : 'in no run did all clients finish';
    case 'exitedAfterCalls':
    case 'closedAfterCalls':
      return clientDied ? undefined : 'no client dies';
    case 'reliefGoesFirst':
      return reliefSlept ? undefined : 'no relief call ever sleeps';
    default:
      return undefined;
  }
}
