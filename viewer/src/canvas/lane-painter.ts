import type { Lane } from '../run/run.js';
import type { Colours } from './colours.js';
import { drawArrows } from './draw-arrows.js';
import { drawBars, fitting, type Pen } from './draw-bars.js';
import { drawNotes, drawQueue } from './draw-queue.js';
import { PixelColumns } from './pixel-columns.js';
import { type PlacedLane, ruler, type Scene } from './scene.js';
import type { Ruler } from './ticks.js';

export interface CanvasSize {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  /** Device pixels per CSS pixel. */
  readonly ratio: number;
}

/** Set the size of a canvas, which clears it, if it has another one. */
export function fitCanvas(canvas: HTMLCanvasElement, { width, height, ratio }: CanvasSize): void {
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width === wide && canvas.height === high) return;
  canvas.width = wide;
  canvas.height = high;
}

interface LanePicture {
  readonly scene: Scene;
  readonly placed: readonly PlacedLane[];
  readonly ticks: Ruler;
  readonly colours: Colours;
  readonly font: string;
  readonly size: CanvasSize;
}

/**
 * Draws the lanes on a canvas of its own, which stays as it is while only the pointer or the cursor moves.
 */
export class LanePainter {
  private readonly canvas = document.createElement('canvas');
  private readonly context: CanvasRenderingContext2D;
  private readonly columns = new PixelColumns();
  private readonly doorColumns = new PixelColumns();
  private hatch: CanvasPattern | undefined;
  private hatchColour = '';
  private colours!: Colours;
  private font = '';
  private drawn: readonly unknown[] = [];

  constructor() {
    const context = this.canvas.getContext('2d');
    if (context === null) throw new Error('this browser has no 2D canvas');
    this.context = context;
  }

  draw({ scene, placed, ticks, colours, font, size }: LanePicture): HTMLCanvasElement {
    const { canvas } = this;
    const { viewport, chosen, matches, shown, axis, scroll, gutter, lane } = scene;
    const depends = [
      ...[placed, colours, font, size.width, size.height, size.ratio, gutter, scroll, axis, lane, matches],
      ...[viewport.start, viewport.step, viewport.width, chosen?.run, chosen?.call, [...shown].sort().join()],
    ];
    if (depends.every((each, index) => each === this.drawn[index])) return canvas;
    this.drawn = depends;
    this.colours = colours;
    this.font = font;
    fitCanvas(canvas, size);
    if (this.hatchColour !== colours.hatch) this.hatch = hatching(this.context, colours.hatch);
    this.hatchColour = colours.hatch;
    this.paint(scene, placed, ticks, size);
    return canvas;
  }

  private paint(scene: Scene, placed: readonly PlacedLane[], ticks: Ruler, { width, height, ratio }: CanvasSize): void {
    const { context, colours } = this;
    const { gutter } = scene;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.background;
    context.fillRect(0, 0, width, height);
    const visible = placed.filter((each) => {
      const y = each.top - scene.scroll;
      return y + each.height > 0 && y < height - ruler;
    });
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
    context.restore();
    for (const each of visible) this.label(each, ruler + each.top - scene.scroll, scene);
    context.restore();
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
    const { context, colours, font, hatch, columns, doorColumns } = this;
    const pen: Pen = { context, colours, font, hatch, columns, doorColumns };
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
}

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
