import type { Colours } from './colours.js';
import { fitting } from './draw-bars.js';
import { drawWaits, type LaneMiddle } from './draw-waits.js';
import { fitCanvas, LanePainter } from './lane-painter.js';
import { type PlacedLane, ruler, type Scene } from './scene.js';
import { type Ruler, rulerOf } from './ticks.js';
import type { Viewport } from './viewport.js';

/** A time shown on the ruler. Pixels. */
interface Badge {
  readonly text: string;
  readonly left: number;
  readonly wide: number;
}

/** Draws scenes on a canvas: the lanes, and what moves with the pointer and the cursor. */
export class Painter {
  private readonly context: CanvasRenderingContext2D;
  private readonly lanes = new LanePainter();
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
    const size = { width, height, ratio };
    fitCanvas(canvas, size);
    this.font = getComputedStyle(canvas).fontFamily;
    const { gutter, runs, viewport, axis } = scene;
    const ticks = rulerOf(viewport, axis, runs[0]?.shift ?? 0, runs[0]?.isSchedule ? 'step' : 'time');
    const lanes = this.lanes.draw({ scene, placed, ticks, colours, font: this.font, size });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(lanes, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.save();
    context.beginPath();
    context.rect(gutter, ruler, width - gutter, height - ruler);
    context.clip();
    context.translate(gutter, 0);
    const middles = new Map(placed.map((each) => [each.lane, each.top + each.height / 2]));
    this.waits(scene, (lane) => ruler + (middles.get(lane) ?? 0) - scene.scroll);
    context.restore();
    this.selection(scene, height);
    const badges = this.badges(scene);
    this.ruler(scene, ticks, width, badges);
    this.cursors(scene, badges, height);
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
