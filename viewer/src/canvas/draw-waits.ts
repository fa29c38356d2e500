import { CallState, knots, type Wait, type WaitGraph } from '../../../src/trace/index.js';
import type { Lane, Run } from '../run/run.js';
import type { Colours } from './colours.js';

/** The vertical middle of a lane on the canvas, in pixels. */
export type LaneMiddle = (lane: Lane) => number;

interface Arrow {
  readonly from: number;
  readonly to: number;
  /** Its number in the cycle; the panel uses the same numbers. */
  readonly number: number;
}

/** Horizontal distance between parallel arrows, in pixels. */
const wayWidth = 18;
const head = 5;

/**
 * Draws the cycle of a deadlock at the cursor. An arrow leads from a call that sleeps in the queue to a thread of
 * secure world that would let it enter, and from a thread to the call that its RPC waits for, until the cycle is
 * closed. The panel explains each arrow under the same number. Calls that only wait behind the cycle are counted in a
 * badge.
 */
export function drawWaits(
  context: CanvasRenderingContext2D,
  colours: Colours,
  font: string,
  run: Run,
  graph: WaitGraph,
  /** The position of the cursor, or the end of the run if that is earlier. Pixels. */
  x: number,
  middle: LaneMiddle,
): void {
  const ways = new Ways();
  const arrows = waitArrows(run, graph, middle).map((arrow) => ({
    ...arrow,
    left: x - 14 - (ways.take(Math.min(arrow.from, arrow.to), Math.max(arrow.from, arrow.to)) + 1) * wayWidth,
  }));
  context.strokeStyle = context.fillStyle = colours.deadlock;
  context.lineWidth = 2.5;
  for (const { from, to, left } of arrows) {
    context.beginPath();
    context.arc(x, from, 4, 0, Math.PI * 2);
    context.fill();
    const turn = Math.min(10, Math.abs(to - from) / 2);
    const down = to > from ? 1 : -1;
    context.beginPath();
    context.moveTo(x, from);
    context.lineTo(left + turn, from);
    context.quadraticCurveTo(left, from, left, from + down * turn);
    context.lineTo(left, to - down * turn);
    context.quadraticCurveTo(left, to, left + turn, to);
    context.lineTo(x - head, to);
    context.stroke();
    context.beginPath();
    context.moveTo(x + 1, to);
    context.lineTo(x - head - 3, to - head);
    context.lineTo(x - head - 3, to + head);
    context.fill();
  }
  context.textBaseline = 'middle';
  context.font = `600 11.5px ${font}`;
  const badge = (text: string, centre: number, y: number) => {
    const wide = Math.max(18, context.measureText(text).width + 10);
    context.fillStyle = colours.deadlock;
    context.beginPath();
    context.roundRect(centre - wide / 2, y - 9, wide, 18, 9);
    context.fill();
    context.fillStyle = colours.onBar;
    context.textAlign = 'center';
    context.fillText(text, centre, y + 0.5);
    context.textAlign = 'start';
  };
  for (const { from, to, left, number } of arrows) badge(String(number), left, (from + to) / 2);
  const lowest = Math.max(...arrows.map(({ from, to }) => Math.max(from, to)));
  const behind = graph.stuck.size - circleSize(graph);
  if (arrows.length > 0 && behind > 0) badge(`+ ${behind} behind`, x - 14 - wayWidth, lowest + 22);
}

/**
 * The number of calls in the knot of the deadlock: it includes the calls that hold the other threads, because all of
 * them must wait.
 */
function circleSize({ waits, cycle }: WaitGraph): number {
  const [first] = cycle;
  const all = knots(new Map(Array.from(waits, ([call, { on }]) => [call, on])));
  return all.find((knot) => first !== undefined && knot.includes(first))?.length ?? cycle.length;
}

function waitArrows(run: Run, { waits, cycle }: WaitGraph, middle: LaneMiddle): Arrow[] {
  const { timeline } = run;
  const threadLane = (call: number) => run.lanes[run.laneOfThread(timeline.callThread.at(call)) ?? -1];
  const clientLane = (call: number) => run.lanes[run.laneOfCall[call] ?? -1];
  const place = (wait: Wait | undefined, call: number) =>
    wait === undefined || wait.segment.state !== CallState.queue
      ? (threadLane(call) ?? clientLane(call))
      : clientLane(call);
  return cycle.flatMap((call, index) => {
    const other = cycle[(index + 1) % cycle.length] ?? call;
    const source = place(waits.get(call), call);
    const target = place(waits.get(other), other);
    if (source === undefined || target === undefined || source === target) return [];
    return [{ from: middle(source), to: middle(target), number: index + 1 }];
  });
}

/** Assigns a column to the vertical part of each arrow: the first column in which its range is free. */
class Ways {
  private readonly taken: [number, number][][] = [];

  take(from: number, to: number): number {
    let way = this.taken.findIndex((parts) => parts.every(([top, bottom]) => to < top || from > bottom));
    if (way < 0) way = this.taken.push([]) - 1;
    this.taken[way]?.push([from, to]);
    return way;
  }
}
