import { type Hit, type PlacedLane, placeLanes, ruler } from '../canvas/scene.js';
import type { Viewport } from '../canvas/viewport.js';
import type { Axis, Lane, Run } from '../run/run.js';

/** The positions of the lanes on the canvas, after scrolling. */
export class LaneView {
  placed: readonly PlacedLane[];
  /** Scroll offset in pixels. */
  scroll = 0;

  constructor(
    private readonly runs: readonly Run[],
    private readonly canvas: HTMLCanvasElement,
  ) {
    this.placed = placeLanes(runs, 0);
  }

  /** To be called when the height of the canvas has changed. */
  resize(): void {
    this.placed = placeLanes(this.runs, this.room);
    this.scrollBy(0);
  }

  scrollBy(pixels: number): void {
    const last = this.placed.at(-1);
    const whole = last === undefined ? 0 : last.top + last.height;
    this.scroll = Math.max(0, Math.min(this.scroll + pixels, whole - this.room));
  }

  /** The lane `by` places further among the lanes with calls; clamped to the first and the last. */
  further(from: Lane | undefined, by: number): PlacedLane | undefined {
    const lanes = this.placed.filter(({ lane }) => lane.segments.length > 0);
    const at = lanes.findIndex(({ lane }) => lane === from);
    return lanes[Math.min(Math.max(at + by, 0), lanes.length - 1)];
  }

  reveal({ top, height }: PlacedLane): void {
    if (top < this.scroll) this.scroll = top;
    else if (top + height > this.scroll + this.room) this.scroll = top + height - this.room;
  }

  /** Scroll so that a lane is at the top, or as far as possible. */
  scrollTo({ top }: PlacedLane): void {
    this.scrollBy(top - this.scroll);
  }

  placeOf(lane: Lane | undefined): PlacedLane | undefined {
    return this.placed.find((each) => each.lane === lane);
  }

  /** @param y pixels from the top of the canvas. */
  at(y: number): Lane | undefined {
    const top = y - ruler + this.scroll;
    return this.placed.find((each) => top >= each.top && top < each.top + each.height)?.lane;
  }

  /**
   * The bar at a position, with a tolerance of two pixels so that thin bars can be hit.
   * @param x pixels from the right edge of the labels.
   */
  hit(x: number, y: number, viewport: Viewport, axis: Axis): Hit | undefined {
    const lane = this.at(y);
    if (lane === undefined || lane.segments.length === 0 || x < 0) return undefined;
    const { run, segments } = lane;
    const until = viewport.position(x + 2);
    const segment = segments[run.firstEndingAfter(lane, viewport.position(x - 2), axis)];
    if (segment === undefined || run.start(segment, axis) > until) return undefined;
    return { lane, call: run.timeline.segmentCall.at(segment), segment };
  }

  private get room(): number {
    return this.canvas.clientHeight - ruler;
  }
}
