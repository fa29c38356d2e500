import { CallState } from '../../../src/trace/index.js';
import { lowerBound } from '../run/bounds.js';
import type { Lane } from '../run/run.js';
import { askedFor, doing } from '../run/words.js';
import type { Colours } from './colours.js';
import { type PixelColumns, pixelOf } from './pixel-columns.js';
import type { Scene } from './scene.js';

/**
 * Bars narrower than this, in pixels, are drawn as columns of one pixel. Further bars in the same pixel are skipped.
 */
const thinnest = 1;
const inset = 3;
/** Opacity of bars that do not match the search. */
const dimmed = 0.16;
/** Bars narrower than this have no text. Pixels. */
const leastText = 30;

/** What the drawing functions need besides the scene. */
export interface Pen {
  readonly context: CanvasRenderingContext2D;
  readonly colours: Colours;
  readonly font: string;
  /** A pattern of thin lines that marks RPCs, so that they can be recognised without their colour. */
  readonly hatch: CanvasPattern | undefined;
  /** For bars that are narrower than a pixel, and for such waits in the driver. */
  readonly columns: PixelColumns;
  readonly doorColumns: PixelColumns;
}

interface Bar {
  readonly segment: number;
  readonly left: number;
  readonly right: number;
}

/** Draws the calls of a lane as bars, coloured by state. */
export function drawBars(pen: Pen, lane: Lane, y: number, height: number, scene: Scene): void {
  const { context, colours } = pen;
  const { viewport, axis, shown } = scene;
  const { run, segments } = lane;
  const { timeline } = run;
  const marked = scene.matches.get(run)?.marked;
  const tall = height - 2 * inset;
  const labels: Bar[] = [];
  const { columns, doorColumns } = pen;
  columns.begin(viewport.width);
  doorColumns.begin(viewport.width);
  const pixels = pixelsOf(colours);
  let at = run.firstEndingAfter(lane, viewport.start, axis);
  while (at < segments.length) {
    let segment = segments[at] ?? 0;
    const left = viewport.x(run.start(segment, axis));
    if (left > viewport.width) break;
    const right = viewport.x(run.end(segment, axis));
    if (right - left < thinnest) {
      // Several bars fall into this pixel; the one at its middle is drawn.
      const column = Math.floor(left);
      const middle = run.firstEndingAfter(lane, viewport.position(column + 0.5), axis, at);
      const other = segments[middle];
      if (other !== undefined && viewport.x(run.start(other, axis)) < column + 1) segment = other;
      at = Math.max(at + 1, run.firstEndingAfter(lane, viewport.position(column + 1), axis, Math.max(at, middle - 1)));
      const state = timeline.segmentState.at(segment);
      if (!shown.has(state)) continue;
      const dim = marked !== undefined && marked[timeline.segmentCall.at(segment)] === 0;
      const into = state === CallState.door ? doorColumns : columns;
      into.set(column, pixels[dim ? 'dim' : 'full'][state] ?? 0);
      continue;
    }
    at++;
    const state = timeline.segmentState.at(segment);
    const call = timeline.segmentCall.at(segment);
    if (!shown.has(state)) continue;
    context.globalAlpha = marked !== undefined && marked[call] === 0 ? dimmed : 1;
    context.fillStyle = colours.states[state] ?? colours.muted;
    if (state === CallState.door) {
      context.fillRect(left, y + height / 2 - 1.5, right - left, 3);
      continue;
    }
    const from = Math.max(left, -8);
    const until = Math.min(right, viewport.width + 8);
    if (until - from < 7) context.fillRect(from, y + inset, Math.max(until - from, thinnest), tall);
    else {
      context.beginPath();
      context.roundRect(from, y + inset, until - from - 0.5, tall, 3);
      context.fill();
      if (state === CallState.rpc && pen.hatch !== undefined) {
        context.fillStyle = pen.hatch;
        context.fill();
      }
      if (right - left > leastText)
        labels.push({ segment, left: Math.max(left, 0), right: Math.min(right, viewport.width) });
    }
    if (timeline.callSystem.at(call) === 1) {
      context.fillStyle = colours.text;
      context.fillRect(from, y + inset + tall - 2, until - from - 0.5, 2);
    }
  }
  context.globalAlpha = 1;
  columns.draw(context, y + inset, tall);
  doorColumns.draw(context, y + height / 2 - 1.5, 3);
  for (const label of labels) drawLabel(pen, lane, label, y + height / 2 + 0.5, marked);
  context.globalAlpha = 1;
  if (lane.kind === 'client') {
    drawRefusals(pen, lane, y, scene);
    drawLate(pen, lane, y, height, scene);
  }
  drawOutline(pen, lane, y, height, scene);
}

const pixelsByColours = new WeakMap<Colours, Record<'full' | 'dim', Record<number, number>>>();

/** The colours of the states, as pixels. */
function pixelsOf(colours: Colours): Record<'full' | 'dim', Record<number, number>> {
  const known = pixelsByColours.get(colours);
  if (known !== undefined) return known;
  const all = (alpha: number) =>
    Object.fromEntries(Object.entries(colours.states).map(([state, colour]) => [state, pixelOf(colour, alpha)]));
  const made = { full: all(1), dim: all(dimmed) };
  pixelsByColours.set(colours, made);
  return made;
}

function drawLabel(
  { context, colours, font }: Pen,
  { run, kind }: Lane,
  { segment, left, right }: Bar,
  middle: number,
  marked: Uint8Array | undefined,
): void {
  const { timeline } = run;
  const call = timeline.segmentCall.at(segment);
  const whole = timeline.segment(segment);
  const { state } = whole;
  const what = state === CallState.secure ? askedFor(run, call) : doing(whole);
  const text = kind === 'thread' ? `${what} · ${timeline.clientOf(call)}` : what;
  context.textBaseline = 'middle';
  context.font = `11.5px ${font}`;
  const room = right - left - 10;
  const shown = fitting(context, text, room);
  if (shown === '') return;
  context.globalAlpha = marked !== undefined && marked[call] === 0 ? dimmed : 1;
  if (state === CallState.rpc) {
    // Clear the hatching behind the text.
    context.fillStyle = colours.states[state] ?? colours.muted;
    context.fillRect(left + 3, middle - 8, Math.min(context.measureText(shown).width + 4, room + 4), 16);
  }
  context.fillStyle =
    state === CallState.queue ? colours.onQueue : state === CallState.rpc ? colours.onRpc : colours.onBar;
  context.fillText(shown, left + 5, middle);
}

/** The longest prefix of a text that fits into `room` pixels. */
export function fitting(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  const letters = Math.floor(room / 6.2) - 1;
  return letters < 3 ? '' : `${text.slice(0, letters)}…`;
}

/** Marks ETHREAD_LIMIT on the client's lane. */
function drawRefusals({ context, colours }: Pen, lane: Lane, y: number, { viewport, axis }: Scene): void {
  const { run } = lane;
  const limits = run.timeline.threadLimits;
  if (limits.length === 0) return;
  const number = run.lanes.indexOf(lane);
  let last = -10;
  context.fillStyle = colours.bad;
  for (let index = lowerBound(limits, run.recordAt(viewport.start, axis)); index < limits.length; index++) {
    const record = limits[index] ?? 0;
    const x = viewport.x(run.position(record, axis));
    if (x > viewport.width) break;
    if (x - last < 1) continue;
    if (run.laneOfCall[run.timeline.threadLimitCalls[index] ?? -1] !== number) continue;
    last = x;
    context.beginPath();
    context.moveTo(x - 4, y + 1);
    context.lineTo(x + 4, y + 1);
    context.lineTo(x, y + 8);
    context.fill();
  }
}

/** Draws a flag at the end of each call that exceeded its deadline. */
function drawLate({ context, colours }: Pen, lane: Lane, y: number, height: number, { viewport, axis }: Scene): void {
  const { run } = lane;
  if (run.lateCalls.length === 0) return;
  const number = run.lanes.indexOf(lane);
  context.fillStyle = colours.bad;
  let last = -10;
  for (const call of run.lateCalls) {
    if (run.laneOfCall[call] !== number) continue;
    const x = viewport.x(run.callEnd(call, axis));
    if (x < 0 || x > viewport.width + 1 || x - last < 2) continue;
    last = x;
    context.fillRect(x - 1.5, y + 1, 1.5, height - 2);
    context.beginPath();
    context.moveTo(x, y + 1);
    context.lineTo(x - 9, y + 1);
    context.lineTo(x, y + 9);
    context.fill();
  }
}

function drawOutline(
  { context, colours }: Pen,
  lane: Lane,
  y: number,
  height: number,
  { chosen, viewport, axis }: Scene,
): void {
  if (chosen === undefined || chosen.run !== lane.run) return;
  const { run } = lane;
  const { timeline } = run;
  const index = run.lanes.indexOf(lane);
  const thread = timeline.callThread.at(chosen.call);
  const onThread = lane.kind === 'thread' && thread >= 0 && run.laneOfThread(thread) === index;
  if (!onThread && run.laneOfCall[chosen.call] !== index) return;
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (let segment = timeline.callFirstSegment.at(chosen.call); segment >= 0; ) {
    const entered = timeline.segmentStartRecord.at(segment) >= timeline.callEnteredRecord.at(chosen.call);
    if (!onThread || entered) {
      first = Math.min(first, run.start(segment, axis));
      last = Math.max(last, run.end(segment, axis));
    }
    segment = timeline.segmentNext.at(segment);
  }
  const left = Math.max(viewport.x(first), -4);
  const right = Math.min(viewport.x(last), viewport.width + 4);
  context.strokeStyle = colours.text;
  context.lineWidth = 1.75;
  context.beginPath();
  context.roundRect(left - 1, y + 1.5, Math.max(right - left + 1, 3), height - 3, 4);
  context.stroke();
}
