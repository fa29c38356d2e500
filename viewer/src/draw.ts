import { CallState, type WaitGraph } from '../../src/trace/index.js';
import { lowerBound } from './bounds.js';
import { drawArrows } from './draw-arrows.js';
import { drawWaits, type LaneMiddle } from './draw-waits.js';
import type { Axis, Lane, Run } from './run.js';
import type { Matches } from './search.js';
import type { Viewport } from './viewport.js';
import { doing, duration, purpose } from './words.js';

/** Width of the labels at the left, pixels. */
export const gutter = 168;
/** Height of the ruler. */
export const ruler = 26;
/** Bars narrower than this are drawn as columns of one pixel, and those behind the first in a pixel are skipped. */
const thinnest = 1;

export interface Scene {
  readonly runs: readonly Run[];
  readonly axis: Axis;
  readonly viewport: Viewport;
  readonly scroll: number;
  readonly cursor: number | undefined;
  readonly hover: number | undefined;
  readonly chosen: { readonly run: Run; readonly call: number } | undefined;
  readonly lane: Lane | undefined;
  readonly matches: ReadonlyMap<Run, Matches>;
  readonly shown: ReadonlySet<number>;
  /** Who waits for whom at the pointer or the cursor. */
  readonly waits: ReadonlyMap<Run, WaitGraph>;
}

export interface PlacedLane {
  readonly lane: Lane;
  /** Top, in pixels below the ruler, before scrolling. */
  readonly top: number;
}

/** Where each lane is. */
export function placeLanes(runs: readonly Run[]): PlacedLane[] {
  const placed: PlacedLane[] = [];
  let top = 0;
  for (const run of runs)
    for (const lane of run.lanes) {
      placed.push({ lane, top });
      top += lane.height;
    }
  return placed;
}

/** The colours of the page, as its style sheet has them. */
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    background: of('background'),
    surface: of('surface'),
    line: of('line'),
    grid: of('grid'),
    text: of('text'),
    muted: of('muted'),
    accent: of('accent'),
    bad: of('bad'),
    deadlock: of('deadlock'),
    wake: of('wake'),
    notification: of('notification'),
    lane: of('lane'),
    onBar: of('on-bar'),
    onQueue: of('on-queue'),
    states: {
      [CallState.door]: of('door'),
      [CallState.queue]: of('queue'),
      [CallState.secure]: of('secure'),
      [CallState.rpc]: of('rpc'),
    } as Record<number, string>,
  };
}
export type Colours = ReturnType<typeof readColours>;

export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private font = '';

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private colours: Colours,
  ) {
    const context = canvas.getContext('2d');
    if (context === null) throw new Error('this browser has no 2D canvas');
    this.context = context;
  }

  setColours(colours: Colours): void {
    this.colours = colours;
  }

  draw(scene: Scene, placed: readonly PlacedLane[]): void {
    const { context, canvas, colours } = this;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.font = getComputedStyle(canvas).fontFamily;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.background;
    context.fillRect(0, 0, width, height);
    const visible = placed.filter(({ lane, top }) => {
      const y = top - scene.scroll;
      return y + lane.height > 0 && y < height - ruler;
    });
    context.save();
    context.beginPath();
    context.rect(0, ruler, width, height - ruler);
    context.clip();
    for (const { lane, top } of visible) this.background(lane, ruler + top - scene.scroll, width, scene);
    this.grid(scene, height);
    context.save();
    context.beginPath();
    context.rect(gutter, ruler, width - gutter, height - ruler);
    context.clip();
    context.translate(gutter, 0);
    for (const { lane, top } of visible) this.lane(lane, ruler + top - scene.scroll, scene);
    this.ends(scene, placed);
    const tops = new Map(placed.map(({ lane, top }) => [lane, top]));
    const middle = (lane: Lane) => ruler + (tops.get(lane) ?? 0) - scene.scroll + lane.height / 2;
    drawArrows(context, colours, scene, middle, height);
    this.waits(scene, middle);
    context.restore();
    for (const { lane, top } of visible) this.label(lane, ruler + top - scene.scroll, scene);
    context.restore();
    this.ruler(scene, width);
    this.cursors(scene, height);
  }

  private background(lane: Lane, y: number, width: number, scene: Scene): void {
    const { context, colours } = this;
    if (lane.kind === 'title') {
      context.fillStyle = colours.surface;
      context.fillRect(0, y, width, lane.height);
      context.fillStyle = colours.line;
      context.fillRect(0, y, width, 1);
      return;
    }
    if (lane.kind === 'thread') {
      context.fillStyle = colours.lane;
      context.fillRect(gutter, y + 1, width - gutter, lane.height - 2);
    }
    if (scene.lane === lane) {
      context.globalAlpha = 0.12;
      context.fillStyle = colours.accent;
      context.fillRect(0, y, width, lane.height);
      context.globalAlpha = 1;
    }
  }

  private grid({ viewport, axis }: Scene, height: number): void {
    const { context, colours } = this;
    context.fillStyle = colours.grid;
    for (const { position } of ticks(viewport, axis))
      context.fillRect(Math.round(gutter + viewport.x(position)), ruler, 1, height - ruler);
  }

  private lane(lane: Lane, y: number, scene: Scene): void {
    switch (lane.kind) {
      case 'title':
        break;
      case 'notes':
        this.notes(lane, y, scene);
        break;
      case 'queue':
        this.queue(lane, y, scene);
        break;
      case 'thread':
      case 'client':
        this.bars(lane, y, scene);
        break;
      default:
        lane.kind satisfies never;
    }
  }

  private bars(lane: Lane, y: number, scene: Scene): void {
    const { context, colours } = this;
    const { viewport, axis, shown } = scene;
    const { run, segments } = lane;
    const { timeline } = run;
    const marked = scene.matches.get(run)?.marked;
    const inset = 3;
    const height = lane.height - 2 * inset;
    const labels: [number, number, number][] = [];
    let at = run.firstEndingAfter(lane, viewport.start, axis);
    while (at < segments.length) {
      let segment = segments[at] ?? 0;
      let left = viewport.x(run.start(segment, axis));
      if (left > viewport.width) break;
      let right = viewport.x(run.end(segment, axis));
      const isThin = right - left < thinnest;
      if (isThin) {
        // Many lie in this pixel: the one in its middle stands for them.
        const column = Math.floor(left);
        const middle = segments[run.firstEndingAfter(lane, viewport.position(column + 0.5), axis, at)];
        if (middle !== undefined && viewport.x(run.start(middle, axis)) < column + 1) segment = middle;
        left = Math.max(left, column);
        right = column + 1;
        at = Math.max(at + 1, run.firstEndingAfter(lane, viewport.position(column + 1), axis, at));
      } else at++;
      const state = timeline.segmentState.at(segment);
      const call = timeline.segmentCall.at(segment);
      if (!shown.has(state)) continue;
      context.globalAlpha = marked !== undefined && marked[call] === 0 ? 0.16 : 1;
      context.fillStyle = colours.states[state] ?? colours.muted;
      if (state === CallState.door) {
        context.fillRect(left, y + lane.height / 2 - 1.5, right - left, 3);
        continue;
      }
      const from = Math.max(left, -8);
      const until = Math.min(right, viewport.width + 8);
      if (until - from < 7) context.fillRect(from, y + inset, Math.max(until - from, thinnest), height);
      else {
        context.beginPath();
        context.roundRect(from, y + inset, until - from - 0.5, height, 3);
        context.fill();
        if (right - left > 34) labels.push([segment, Math.max(left, 0), Math.min(right, viewport.width)]);
      }
      if (timeline.callSystem.at(call) === 1 && !isThin) {
        context.fillStyle = colours.text;
        context.fillRect(from, y + inset + height - 2, until - from - 0.5, 2);
      }
    }
    context.textBaseline = 'middle';
    context.font = `11.5px ${this.font}`;
    for (const [segment, left, right] of labels) {
      const call = timeline.segmentCall.at(segment);
      const whole = timeline.segment(segment);
      const { state } = whole;
      const what = doing(whole);
      const text =
        lane.kind === 'thread'
          ? `${timeline.clientOf(call)} · ${what}`
          : state === CallState.secure
            ? `${purpose(run, call)}`
            : what;
      context.globalAlpha = marked !== undefined && marked[call] === 0 ? 0.16 : 1;
      context.fillStyle = state === CallState.queue ? colours.onQueue : colours.onBar;
      const room = right - left - 10;
      const shownText = this.fit(text, room);
      if (shownText !== '') context.fillText(shownText, left + 5, y + lane.height / 2 + 0.5);
    }
    context.globalAlpha = 1;
    this.refusals(lane, y, scene);
    this.outline(lane, y, scene);
  }

  /** The longest beginning of a text that has room. */
  private fit(text: string, room: number): string {
    const { context } = this;
    if (context.measureText(text).width <= room) return text;
    const letters = Math.floor(room / 6.2) - 1;
    return letters < 3 ? '' : `${text.slice(0, letters)}…`;
  }

  /** ETHREAD_LIMIT: a mark on the client's lane. */
  private refusals(lane: Lane, y: number, { viewport, axis }: Scene): void {
    const { run } = lane;
    const limits = run.timeline.threadLimits;
    if (lane.kind !== 'client' || limits.length === 0) return;
    const { context, colours } = this;
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

  private outline(lane: Lane, y: number, { chosen, viewport, axis }: Scene): void {
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
    this.context.strokeStyle = this.colours.text;
    this.context.lineWidth = 1.75;
    this.context.beginPath();
    this.context.roundRect(left - 1, y + 1.5, Math.max(right - left + 1, 3), lane.height - 3, 4);
    this.context.stroke();
  }

  private queue(lane: Lane, y: number, { viewport, axis, shown }: Scene): void {
    const { context, colours } = this;
    const { asleep } = lane.run;
    if (!shown.has(CallState.queue) || asleep.most === 0) return;
    const tall = lane.height - 8;
    const bottom = y + lane.height - 3;
    context.fillStyle = colours.states[CallState.queue] ?? colours.muted;
    context.globalAlpha = 0.85;
    let x = 0;
    let from = asleep.firstAfter(lane.run.recordAt(viewport.position(0), axis));
    const end = Math.min(viewport.width, viewport.x(lane.run.extent(axis)));
    while (x < end) {
      const to = asleep.firstAfter(lane.run.recordAt(viewport.position(x + 1), axis));
      const before = asleep.values[from - 1] ?? 0;
      const most = to > from ? Math.max(before, asleep.largest(from, to)) : before;
      // Until the next change nothing changes.
      const next = asleep.records[to];
      const until = next === undefined ? end : Math.max(x + 1, Math.floor(viewport.x(lane.run.position(next, axis))));
      const first = (most / asleep.most) * tall;
      context.fillRect(x, bottom - first, 1, first);
      if (until > x + 1) {
        const rest = ((asleep.values[to - 1] ?? 0) / asleep.most) * tall;
        context.fillRect(x + 1, bottom - rest, Math.min(until, end) - x - 1, rest);
      }
      x = Math.max(until, x + 1);
      from = to;
    }
    context.globalAlpha = 1;
  }

  private notes(lane: Lane, y: number, scene: Scene): void {
    const { context, colours } = this;
    const { viewport, axis } = scene;
    const { run } = lane;
    const { notes } = run.timeline;
    const found = scene.matches.get(run)?.notes;
    let last = -10;
    for (let index = lowerBound(notes, run.recordAt(viewport.start, axis)); index < notes.length; index++) {
      const record = notes[index] ?? 0;
      const x = viewport.x(run.position(record, axis));
      if (x > viewport.width) break;
      if (x - last < 2) continue;
      last = x;
      const type = run.table.eventsAt(record)[0]?.type;
      const bad = type === 'simulated-fault' || type === 'protocol-violation' || type === 'ta-panic';
      context.fillStyle = bad ? colours.bad : colours.muted;
      context.globalAlpha = found !== undefined && !found.includes(record) ? 0.2 : 1;
      context.beginPath();
      context.arc(x, y + lane.height / 2, 3.5, 0, Math.PI * 2);
      context.fill();
    }
    context.globalAlpha = 1;
  }

  /** Where each trace ends, when another goes on longer. */
  private ends({ runs, viewport, axis, scroll }: Scene, placed: readonly PlacedLane[]): void {
    const { context, colours } = this;
    for (const run of runs) {
      const x = viewport.x(run.extent(axis));
      if (x >= viewport.width || x < 0) continue;
      const lanes = placed.filter(({ lane }) => lane.run === run && lane.kind !== 'title');
      const first = lanes[0];
      const last = lanes[lanes.length - 1];
      if (first === undefined || last === undefined) continue;
      context.fillStyle = colours.line;
      context.fillRect(x, ruler + first.top - scroll, 1.5, last.top + last.lane.height - first.top);
    }
  }

  private waits({ runs, waits, axis, viewport, cursor, hover }: Scene, middle: LaneMiddle): void {
    const position = hover ?? cursor;
    if (position === undefined) return;
    for (const run of runs) {
      const graph = waits.get(run);
      if (graph === undefined || graph.stuck.size === 0) continue;
      drawWaits(
        this.context,
        this.colours,
        this.font,
        run,
        graph,
        viewport.x(Math.min(position, run.extent(axis))),
        middle,
      );
    }
  }

  private label(lane: Lane, y: number, scene: Scene): void {
    const { context, colours } = this;
    context.fillStyle = colours.surface;
    if (lane.kind !== 'title') {
      context.fillRect(0, y, gutter, lane.height);
      if (scene.lane === lane) {
        context.globalAlpha = 0.12;
        context.fillStyle = colours.accent;
        context.fillRect(0, y, gutter, lane.height);
        context.globalAlpha = 1;
      }
      context.fillStyle = colours.line;
      context.fillRect(gutter - 1, y, 1, lane.height);
    }
    if (lane.continued) return;
    context.textBaseline = 'middle';
    context.fillStyle = lane.kind === 'client' || lane.kind === 'title' ? colours.text : colours.muted;
    context.font = `${lane.kind === 'title' ? '600 13px' : '12.5px'} ${this.font}`;
    const room = lane.kind === 'title' ? scene.viewport.width : gutter - 22;
    const most =
      lane.kind === 'queue' && lane.run.asleep.most > 0 ? `${lane.label} (≤ ${lane.run.asleep.most})` : lane.label;
    context.fillText(this.fit(most, room), 12, y + lane.height / 2 + 0.5);
  }

  private ruler(scene: Scene, width: number): void {
    const { context, colours } = this;
    const { viewport, axis } = scene;
    context.fillStyle = colours.surface;
    context.fillRect(0, 0, width, ruler);
    context.fillStyle = colours.line;
    context.fillRect(0, ruler - 1, width, 1);
    context.fillStyle = colours.muted;
    context.font = `11.5px ${this.font}`;
    context.textBaseline = 'middle';
    context.fillText(axis === 'time' ? 'time' : 'event', 12, ruler / 2);
    context.save();
    context.beginPath();
    context.rect(gutter, 0, width - gutter, ruler);
    context.clip();
    for (const { position, label } of ticks(viewport, axis)) {
      const x = gutter + viewport.x(position);
      context.fillRect(Math.round(x), ruler - 6, 1, 5);
      context.fillText(label, x + 4, ruler / 2 - 1);
    }
    context.restore();
  }

  private cursors({ cursor, hover, viewport, axis }: Scene, height: number): void {
    const { context, colours } = this;
    const line = (position: number, alpha: number, labelled: boolean) => {
      const x = gutter + viewport.x(position);
      if (x < gutter || x > gutter + viewport.width + 1) return;
      context.globalAlpha = alpha;
      context.fillStyle = colours.accent;
      context.fillRect(x - 0.75, ruler - 4, 1.5, height);
      context.globalAlpha = 1;
      if (!labelled) return;
      const text = axis === 'time' ? duration(position) : `event ${Math.floor(position) + 1}`;
      context.font = `600 11.5px ${this.font}`;
      const wide = context.measureText(text).width + 12;
      context.beginPath();
      context.roundRect(Math.min(x - wide / 2, gutter + viewport.width - wide), 3, wide, ruler - 8, 4);
      context.fill();
      context.fillStyle = colours.surface;
      context.fillText(text, Math.min(x - wide / 2, gutter + viewport.width - wide) + 6, ruler / 2 - 0.5);
    };
    if (hover !== undefined) line(hover, 0.35, false);
    if (cursor !== undefined) line(cursor, 1, true);
  }
}

function ticks(viewport: Viewport, axis: Axis): { position: number; label: string }[] {
  const wanted = viewport.step * 110;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const unit = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= wanted) ?? wanted;
  const step = axis === 'order' ? Math.max(1, Math.round(unit)) : unit;
  const found: { position: number; label: string }[] = [];
  for (let index = Math.floor(viewport.start / step); index * step <= viewport.end; index++) {
    const position = index * step;
    found.push({
      position,
      label: axis === 'time' ? duration(Number(position.toPrecision(12))) : String(position + 1),
    });
  }
  return found;
}
