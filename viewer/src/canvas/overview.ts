import { CallState } from '../../../src/trace/index.js';
import type { Axis, Run } from '../run/run.js';
import type { Colours } from './colours.js';
import { type CanvasSize, fitCanvas } from './lane-painter.js';
import type { Viewport } from './viewport.js';

/** Number of columns of the overview. */
const bins = 600;

interface Summary {
  /**
   * By column: the share of threads that execute in secure world and that are in RPCs, and the largest number of calls
   * asleep, relative to the largest of the run. 0 to 1.
   */
  readonly secure: Float64Array;
  readonly rpc: Float64Array;
  readonly asleep: Float64Array;
}

/** An overview of the whole trace in a strip, with the visible part marked. Dragging moves the view. */
export class Overview {
  private readonly summaries = new Map<string, Summary>();
  /** The strip without the mark of the visible part, and what it depends on. */
  private readonly strip = document.createElement('canvas');
  private drawn: readonly unknown[] = [];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly runs: readonly Run[],
    go: (centre: number) => void,
  ) {
    const move = (event: PointerEvent) => {
      if (event.buttons === 1) go((event.offsetX / Math.max(1, canvas.clientWidth)) * this.extent);
    };
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener('pointermove', move);
  }

  private axis: Axis = 'time';

  private get extent(): number {
    return Math.max(...this.runs.map((run) => run.extent(this.axis))) || 1;
  }

  draw(colours: Colours, viewport: Viewport, axis: Axis): void {
    this.axis = axis;
    const { canvas, extent } = this;
    const context = canvas.getContext('2d');
    if (context === null) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    const size = { width, height, ratio };
    fitCanvas(canvas, size);
    const depends = [colours, axis, width, height, ratio];
    if (depends.some((each, index) => each !== this.drawn[index])) this.drawStrip(colours, axis, size);
    this.drawn = depends;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.strip, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const left = Math.max(0, (viewport.start / extent) * width);
    const right = Math.min(width, (viewport.end / extent) * width);
    context.fillStyle = colours.background;
    context.globalAlpha = 0.6;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = colours.accent;
    context.lineWidth = 1.5;
    context.strokeRect(left + 0.75, 0.75, Math.max(3, right - left - 1.5), height - 1.5);
  }

  private drawStrip(colours: Colours, axis: Axis, { width, height, ratio }: CanvasSize): void {
    const { strip, runs, extent } = this;
    const context = strip.getContext('2d');
    if (context === null) return;
    fitCanvas(strip, { width, height, ratio });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.surface;
    context.fillRect(0, 0, width, height);
    const tall = height / runs.length;
    runs.forEach((run, index) => {
      const summary = this.summaryOf(run, index, axis, extent);
      const bottom = (index + 1) * tall - 1;
      const bar = (values: Float64Array, bin: number, below: number, colour: string | undefined) => {
        const high = (values[bin] ?? 0) * (tall - 3);
        context.fillStyle = colour ?? colours.muted;
        context.fillRect((bin / bins) * width, bottom - below - high, width / bins + 0.5, high);
        return below + high;
      };
      for (let bin = 0; bin < bins; bin++) {
        const secure = bar(summary.secure, bin, 0, colours.states[CallState.secure]);
        bar(summary.rpc, bin, secure, colours.states[CallState.rpc]);
        if ((summary.asleep[bin] ?? 0) === 0) continue;
        context.fillStyle = colours.states[CallState.queue] ?? colours.muted;
        context.fillRect(
          (bin / bins) * width,
          bottom - (summary.asleep[bin] ?? 0) * (tall - 4) - 1.5,
          width / bins + 0.5,
          2,
        );
      }
    });
  }

  private summaryOf(run: Run, index: number, axis: Axis, extent: number): Summary {
    const key = `${index} ${axis}`;
    const known = this.summaries.get(key);
    if (known !== undefined) return known;
    const made = summaryOf(run, axis, extent);
    this.summaries.set(key, made);
    return made;
  }
}

function summaryOf(run: Run, axis: Axis, extent: number): Summary {
  const { timeline, asleep: chart } = run;
  const secure = new Float64Array(bins);
  const rpc = new Float64Array(bins);
  const asleep = new Float64Array(bins);
  const size = extent / bins;
  const each = 1 / Math.max(1, timeline.threads);
  for (const lane of run.lanes) {
    if (lane.kind !== 'thread') continue;
    for (const segment of lane.segments) {
      const into = timeline.segmentState.at(segment) === CallState.rpc ? rpc : secure;
      const from = Math.max(0, run.start(segment, axis) / size);
      const to = Math.min(bins, run.end(segment, axis) / size);
      for (let bin = Math.floor(from); bin < to; bin++)
        into[bin] = (into[bin] ?? 0) + (Math.min(to, bin + 1) - Math.max(from, bin)) * each;
    }
  }
  if (chart.most > 0)
    for (let bin = 0; bin < bins; bin++) {
      const from = chart.firstAfter(run.recordAt(bin * size, axis));
      const to = chart.firstAfter(run.recordAt((bin + 1) * size, axis));
      if (bin * size <= run.extent(axis))
        asleep[bin] = Math.max(chart.values[from - 1] ?? 0, chart.largest(from, to)) / chart.most;
    }
  return { secure, rpc, asleep };
}
