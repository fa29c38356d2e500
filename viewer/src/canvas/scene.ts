import type { WaitGraph } from '../../../src/trace/index.js';
import type { Axis, Lane, Run } from '../run/run.js';
import type { Matches } from '../run/search.js';
import type { Viewport } from './viewport.js';

/** Height of the ruler, in pixels. */
export const ruler = 26;
/** Screens narrower than this use the layout for phones. Pixels. */
export const narrow = 640;

/** Width of the lane labels at the left, in pixels. */
export const gutterOf = (width: number) => (width < narrow ? 84 : 176);

export interface Scene {
  readonly runs: readonly Run[];
  readonly axis: Axis;
  readonly viewport: Viewport;
  readonly gutter: number;
  readonly scroll: number;
  readonly cursor: number | undefined;
  /** The other end of the measured range; the cursor is the first. */
  readonly mark: number | undefined;
  readonly hover: number | undefined;
  readonly chosen: { readonly run: Run; readonly call: number } | undefined;
  readonly lane: Lane | undefined;
  readonly matches: ReadonlyMap<Run, Matches>;
  readonly shown: ReadonlySet<number>;
  /** What each call waits for, at the pointer or the cursor. */
  readonly waits: ReadonlyMap<Run, WaitGraph>;
}

/** The bar of a call at a position. */
export interface Hit {
  readonly lane: Lane;
  readonly call: number;
  readonly segment: number;
}

export interface PlacedLane {
  readonly lane: Lane;
  /** Distance from the ruler to the top of the lane before scrolling, in pixels. */
  readonly top: number;
  readonly height: number;
}

/** Largest height of thread and client lanes when there is room, in pixels. */
const tallest = 40;

/**
 * The position of each lane.
 * @param room height available for all lanes, in pixels.
 */
export function placeLanes(runs: readonly Run[], room: number): PlacedLane[] {
  const lanes = runs.flatMap((run) => run.lanes);
  const natural = lanes.reduce((sum, { height }) => sum + height, 0);
  const growing = lanes.filter(({ kind }) => kind === 'thread' || kind === 'client').length;
  const more = growing === 0 ? 0 : Math.max(0, (room - natural) / growing);
  let top = 0;
  return lanes.map((lane) => {
    const grows = lane.kind === 'thread' || lane.kind === 'client';
    const height = grows ? Math.floor(Math.min(tallest, lane.height + more)) : lane.height;
    const placed = { lane, top, height };
    top += height;
    return placed;
  });
}
