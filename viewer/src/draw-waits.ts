import { CallState, type Wait, type WaitGraph } from '../../src/trace/index.js';
import type { Colours } from './draw.js';
import type { Lane, Run } from './run.js';
import { doing } from './words.js';

/** Where a lane's middle is on the canvas, in pixels. */
export type LaneMiddle = (lane: Lane) => number;

interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly label: string;
  /** It is part of the cycle that is drawn first. */
  readonly inCycle: boolean;
}

/** Arrows beside each other are so far apart, pixels. */
const wayWidth = 16;
const head = 5;

/**
 * Who waits for whom at the cursor, where nobody can go on: from a call that sleeps in the queue to the threads of secure
 * world that it could have, and from a thread to the call that its RPC waits for, until the cycle is closed.
 */
export function drawWaits(
  context: CanvasRenderingContext2D,
  colours: Colours,
  font: string,
  run: Run,
  graph: WaitGraph,
  /** Of the cursor, or of the end of the run when that is earlier. */
  x: number,
  middle: LaneMiddle,
): void {
  const ways = new Ways();
  // The cycle has the ways next to the cursor, and is drawn last, above the others.
  const arrows = waitArrows(run, graph, middle)
    .sort((one, other) => Number(other.inCycle) - Number(one.inCycle))
    .map((arrow) => ({ ...arrow, away: ways.take(Math.min(arrow.from, arrow.to), Math.max(arrow.from, arrow.to)) }))
    .reverse();
  const labels: [string, number, number][] = [];
  for (const { from, to, label, inCycle, away } of arrows) {
    const left = x - 12 - (away + 1) * wayWidth;
    context.globalAlpha = inCycle ? 1 : 0.55;
    context.strokeStyle = context.fillStyle = colours.deadlock;
    context.lineWidth = inCycle ? 2.5 : 1.25;
    context.beginPath();
    context.arc(x, from, inCycle ? 4 : 3, 0, Math.PI * 2);
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
    if (inCycle) labels.push([label, left, from + (to - from) * 0.3]);
  }
  context.globalAlpha = 1;
  context.font = `600 11.5px ${font}`;
  context.textBaseline = 'middle';
  for (const [label, left, y] of labels) {
    const width = context.measureText(label).width + 12;
    const start = Math.max(4, left - width + 6);
    context.fillStyle = colours.deadlock;
    context.beginPath();
    context.roundRect(start, y - 9, width, 18, 4);
    context.fill();
    context.fillStyle = colours.onBar;
    context.fillText(label, start + 6, y + 0.5);
  }
}

function waitArrows(run: Run, { waits, stuck, cycle }: WaitGraph, middle: LaneMiddle): Arrow[] {
  const { timeline } = run;
  const arrows: Arrow[] = [];
  const threadLane = (call: number) => run.lanes[run.laneOfThread(timeline.callThread.at(call)) ?? -1];
  const clientLane = (call: number) => run.lanes[run.laneOfCall[call] ?? -1];
  const place = (wait: Wait | undefined, call: number) =>
    wait === undefined || wait.segment.state !== CallState.queue
      ? (threadLane(call) ?? clientLane(call))
      : clientLane(call);
  for (const call of stuck) {
    const wait = waits.get(call);
    const at = cycle.indexOf(call);
    // Sleepers outside the cycle wait for the same threads: their arrows would say nothing new.
    if (wait === undefined || (at < 0 && wait.segment.state === CallState.queue)) continue;
    for (const other of wait.on) {
      const source = place(wait, call);
      const target = place(waits.get(other), other);
      if (source === undefined || target === undefined || source === target) continue;
      const inCycle = at >= 0 && cycle[(at + 1) % cycle.length] === other;
      const what = wait.kind === 'rpc' ? `${doing(wait.segment)} needs` : 'needs a thread';
      arrows.push({ from: middle(source), to: middle(target), label: `${at + 1}  ${what}`, inCycle });
    }
  }
  return arrows;
}

/** Upright parts of arrows beside each other: each into the first way that is free between its ends. */
class Ways {
  private readonly taken: [number, number][][] = [];

  take(from: number, to: number): number {
    let way = this.taken.findIndex((parts) => parts.every(([top, bottom]) => to < top || from > bottom));
    if (way < 0) way = this.taken.push([]) - 1;
    this.taken[way]?.push([from, to]);
    return way;
  }
}
