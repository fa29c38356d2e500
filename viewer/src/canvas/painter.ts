import type { Lane } from '../run/run.js';
import type { Colours } from './colours.js';
import { drawArrows } from './draw-arrows.js';
import { drawBars, fitting, type Pen } from './draw-bars.js';
import { drawNotes, drawQueue } from './draw-queue.js';
import { drawWaits, type LaneMiddle } from './draw-waits.js';
import { type PlacedLane, ruler, type Scene } from './scene.js';
import { type Ruler, rulerOf } from './ticks.js';
import type { Viewport } from './viewport.js';

/** A time shown on the ruler. Pixels. */
interface Badge {
  readonly text: string;
  readonly left: number;
  readonly wide: number;
}

/** Draws scenes on a canvas. */
export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private font = '';
  private hatch: CanvasPattern | undefined;

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
    this.hatch = undefined;
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
    this.hatch ??= hatching(context, colours.hatch);
    const { gutter } = scene;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.background;
    context.fillRect(0, 0, width, height);
    const visible = placed.filter((each) => {
      const y = each.top - scene.scroll;
      return y + each.height > 0 && y < height - ruler;
    });
    const run = scene.runs[0];
    const ticks = rulerOf(scene.viewport, scene.axis, run?.shift ?? 0, run?.isSchedule ? 'step' : 'time');
    context.save();
    context.beginPath();
    context.rect(0, ruler, width, height - ruler);
    context.clip();
    for (const each of visible) this.background(each, ruler + each.top - scene.scroll, width, scene);
    this.grid(scene, ticks, height);
    context.save();
    context.beginPath();
    context.rect(gutter, ruler, width - gutter, height - ruler);
    context.clip();
    context.translate(gutter, 0);
    for (const each of visible) this.lane(each, ruler + each.top - scene.scroll, scene);
    this.ends(scene, placed);
    const middles = new Map(placed.map((each) => [each.lane, each.top + each.height / 2]));
    const middle = (lane: Lane) => ruler + (middles.get(lane) ?? 0) - scene.scroll;
    drawArrows(context, colours, scene, middle, height);
    this.waits(scene, middle);
    context.restore();
    for (const each of visible) this.label(each, ruler + each.top - scene.scroll, scene);
    context.restore();
    this.selection(scene, height);
    const badges = this.badges(scene);
    this.ruler(scene, ticks, width, badges);
    this.cursors(scene, badges, height);
  }

  private background({ lane, height }: PlacedLane, y: number, width: number, { gutter, lane: current }: Scene): void {
    const { context, colours } = this;
    if (lane.kind === 'title') {
      context.fillStyle = colours.surface;
      context.fillRect(0, y, width, height);
      context.fillStyle = colours.line;
      context.fillRect(0, y, width, 1);
      return;
    }
    if (lane.kind === 'thread') {
      context.fillStyle = colours.lane;
      context.fillRect(gutter, y + 1, width - gutter, height - 2);
    }
    if (current === lane) {
      context.globalAlpha = 0.12;
      context.fillStyle = colours.accent;
      context.fillRect(0, y, width, height);
      context.globalAlpha = 1;
    }
  }

  private grid({ viewport, gutter }: Scene, { ticks }: Ruler, height: number): void {
    const { context, colours } = this;
    context.fillStyle = colours.grid;
    for (const { position } of ticks)
      context.fillRect(Math.round(gutter + viewport.x(position)), ruler, 1, height - ruler);
  }

  private lane({ lane, height }: PlacedLane, y: number, scene: Scene): void {
    const { context, colours, font, hatch } = this;
    const pen: Pen = { context, colours, font, hatch };
    switch (lane.kind) {
      case 'title':
        break;
      case 'notes':
        drawNotes(pen, lane, y, height, scene);
        break;
      case 'queue':
        drawQueue(pen, lane, y, height, scene);
        break;
      case 'thread':
      case 'client':
        drawBars(pen, lane, y, height, scene);
        break;
      default:
        lane.kind satisfies never;
    }
  }

  /** Marks the end of each trace that is shorter than another. */
  private ends({ runs, viewport, axis, scroll }: Scene, placed: readonly PlacedLane[]): void {
    const { context, colours } = this;
    for (const run of runs) {
      const x = viewport.x(run.extent(axis));
      if (x >= viewport.width || x < 0) continue;
      const lanes = placed.filter(({ lane }) => lane.run === run && lane.kind !== 'title');
      const first = lanes[0];
      const last = lanes.at(-1);
      if (first === undefined || last === undefined) continue;
      context.fillStyle = colours.line;
      context.fillRect(x, ruler + first.top - scroll, 1.5, last.top + last.height - first.top);
    }
  }

  private waits({ runs, waits, axis, viewport, cursor, hover }: Scene, middle: LaneMiddle): void {
    const position = hover ?? cursor;
    if (position === undefined) return;
    for (const run of runs) {
      const graph = waits.get(run);
      if (graph === undefined || graph.stuck.size === 0) continue;
      const x = viewport.x(Math.min(position, run.extent(axis)));
      drawWaits(this.context, this.colours, this.font, run, graph, x, middle);
    }
  }

  private label({ lane, height }: PlacedLane, y: number, { lane: current, viewport, gutter }: Scene): void {
    const { context, colours } = this;
    context.fillStyle = colours.surface;
    if (lane.kind !== 'title') {
      context.fillRect(0, y, gutter, height);
      if (current === lane) {
        context.globalAlpha = 0.12;
        context.fillStyle = colours.accent;
        context.fillRect(0, y, gutter, height);
        context.globalAlpha = 1;
      }
      context.fillStyle = colours.line;
      context.fillRect(gutter - 1, y, 1, height);
    }
    if (lane.continued) return;
    context.textBaseline = 'middle';
    context.fillStyle = lane.kind === 'client' || lane.kind === 'title' ? colours.text : colours.muted;
    context.font = `${lane.kind === 'title' ? '600 13px' : '12.5px'} ${this.font}`;
    const left = gutter < 100 ? 6 : 12;
    const room = lane.kind === 'title' ? viewport.width + gutter - 20 : gutter - left - 8;
    const { most } = lane.run.asleep;
    const text = lane.kind === 'queue' && most > 0 ? `${lane.label} (≤ ${most})` : lane.label;
    context.fillText(fitting(context, text, room), left, y + height / 2 + 0.5);
  }

  private ruler(
    { viewport, axis, gutter, runs }: Scene,
    { ticks, from }: Ruler,
    width: number,
    badges: readonly Badge[],
  ): void {
    const { context, colours } = this;
    context.fillStyle = colours.surface;
    context.fillRect(0, 0, width, ruler);
    context.fillStyle = colours.line;
    context.fillRect(0, ruler - 1, width, 1);
    context.fillStyle = colours.muted;
    context.font = `11.5px ${this.font}`;
    context.textBaseline = 'middle';
    const name = axis === 'order' ? 'event' : runs[0]?.isSchedule ? 'step' : 'time';
    context.fillText(fitting(context, from === '' ? name : `${from} +`, gutter - 10), gutter < 100 ? 6 : 12, ruler / 2);
    context.save();
    context.beginPath();
    context.rect(gutter, 0, width - gutter, ruler);
    context.clip();
    for (const { position, label } of ticks) {
      const x = gutter + viewport.x(position);
      context.fillRect(Math.round(x), ruler - 6, 1, 5);
      const end = x + 8 + context.measureText(label).width;
      // A label partly covered by a badge could be misread as another time.
      if (!badges.some(({ left, wide }) => x < left + wide && end > left))
        context.fillText(label, x + 4, ruler / 2 - 1);
    }
    context.restore();
  }

  /** Highlights the range between cursor and mark. */
  private selection({ cursor, mark, viewport, gutter }: Scene, height: number): void {
    if (cursor === undefined || mark === undefined) return;
    const { context, colours } = this;
    const left = Math.max(0, viewport.x(Math.min(cursor, mark)));
    const right = Math.min(viewport.width, viewport.x(Math.max(cursor, mark)));
    if (right <= left) return;
    context.globalAlpha = 0.14;
    context.fillStyle = colours.accent;
    context.fillRect(gutter + left, ruler, right - left, height - ruler);
    context.globalAlpha = 1;
  }

  /** The times of cursor and mark, for the ruler. */
  private badges({ cursor, mark, viewport, axis, gutter, runs }: Scene): readonly Badge[] {
    const { context } = this;
    const [run] = runs;
    context.font = badgeFont + this.font;
    return [mark, cursor].flatMap((position) => {
      if (position === undefined || !isVisible(viewport, position)) return [];
      const text = run?.placeWords(position, axis, viewport.step) ?? '';
      const wide = context.measureText(text).width + 12;
      const middle = gutter + viewport.x(position);
      return [{ text, wide, left: Math.max(gutter, Math.min(middle - wide / 2, gutter + viewport.width - wide)) }];
    });
  }

  private cursors({ cursor, mark, hover, viewport, gutter }: Scene, badges: readonly Badge[], height: number): void {
    const { context, colours } = this;
    const line = (position: number | undefined, alpha: number) => {
      if (position === undefined || !isVisible(viewport, position)) return;
      context.globalAlpha = alpha;
      context.fillStyle = colours.accent;
      context.fillRect(gutter + viewport.x(position) - 0.75, ruler - 4, 1.5, height);
      context.globalAlpha = 1;
    };
    line(hover, 0.35);
    line(mark, 0.7);
    line(cursor, 1);
    context.font = badgeFont + this.font;
    context.textBaseline = 'middle';
    for (const { left, wide, text } of badges) {
      context.fillStyle = colours.accent;
      context.beginPath();
      context.roundRect(left, 3, wide, ruler - 8, 4);
      context.fill();
      context.fillStyle = colours.surface;
      context.fillText(text, left + 6, ruler / 2 - 0.5);
    }
  }
}

const badgeFont = '600 11.5px ';

const isVisible = (viewport: Viewport, position: number) => {
  const x = viewport.x(position);
  return x >= 0 && x <= viewport.width + 1;
};

/** A pattern of thin diagonal lines. */
function hatching(context: CanvasRenderingContext2D, colour: string): CanvasPattern | undefined {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 8;
  const pen = tile.getContext('2d');
  if (pen === null) return undefined;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.25;
  pen.beginPath();
  for (const from of [-4, 4, 12]) {
    pen.moveTo(from - 6, 10);
    pen.lineTo(from + 6, -2);
  }
  pen.stroke();
  return context.createPattern(tile, 'repeat') ?? undefined;
}
