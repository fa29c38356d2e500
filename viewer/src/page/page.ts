import { deadlockWords, waitGraph } from '../../../src/trace/index.js';
import { readColours } from '../canvas/colours.js';
import { Overview } from '../canvas/overview.js';
import { Painter } from '../canvas/painter.js';
import { gutterOf, type Hit } from '../canvas/scene.js';
import { Viewport } from '../canvas/viewport.js';
import { CallTable } from '../panel/call-table.js';
import { legend, makeLegend } from '../panel/legend.js';
import { verdictChips } from '../panel/story-panel.js';
import { tooltipLines } from '../panel/tooltip.js';
import type { Axis, Lane, Run } from '../run/run.js';
import { doing, purpose, sentence } from '../run/words.js';
import { LaneView } from './lane-view.js';
import { MatchWalk } from './match-walk.js';
import { momentOf, readMoment } from './moment-link.js';
import { placeToOpen } from './place-to-open.js';
import { SidePanel } from './side-panel.js';

/** The highest zoom, by axis: milliseconds or events per pixel. */
const closest = { time: 1e-6, order: 1 / 120 } as const;

/** The page: turns input into a scene and draws it. */
export class TimelinePage {
  readonly viewport = new Viewport();
  readonly canvas: HTMLCanvasElement;
  readonly stage: HTMLElement;
  axis: Axis = 'time';
  cursor: number | undefined;
  /** The other end of the measured range. */
  mark: number | undefined;
  hover: number | undefined;
  lane: Lane | undefined;
  gutter = 0;
  private readonly lanes: LaneView;
  private readonly painter: Painter;
  private readonly overview: Overview;
  private readonly table: CallTable;
  private readonly side: SidePanel;
  private chosen: { run: Run; call: number } | undefined;
  private readonly found: MatchWalk;
  private readonly shown = new Set<number>(legend);
  private frame = 0;
  private colours = readColours();

  constructor(
    private readonly runs: readonly Run[],
    readonly byId: (id: string) => HTMLElement,
  ) {
    this.canvas = byId('canvas') as HTMLCanvasElement;
    this.lanes = new LaneView(runs, this.canvas);
    this.found = new MatchWalk(runs);
    this.stage = byId('stage');
    this.painter = new Painter(this.canvas, this.colours);
    this.overview = new Overview(byId('overview') as HTMLCanvasElement, runs, (centre) => {
      this.viewport.pan(this.viewport.x(centre) - this.viewport.width / 2);
      this.draw();
    });
    const show = (run: Run, call: number) => {
      this.showTable(false);
      this.choose(run, call);
      this.zoomToChosen();
    };
    this.table = new CallTable(byId('table'), show);
    this.side = new SidePanel(byId('panel'), runs, show);
  }

  start(): void {
    const [first] = this.runs;
    const title = first?.table.subject.title ?? this.runs.map(({ title: each }) => each).join(' and ');
    this.byId('title').textContent = title;
    this.byId('title').title = title;
    document.title = `${title} · normalworld`;
    this.byId('verdicts').replaceChildren(...verdictChips(this.runs, (run) => this.showRun(run)));
    makeLegend(this.byId('legend'), this.runs, (state, visible) => {
      if (visible) this.shown.add(state);
      else this.shown.delete(state);
      this.draw();
    });
    this.byId('panel').classList.toggle('several', this.runs.length > 1);
    this.resize();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.colours = readColours();
      this.painter.setColours(this.colours);
      this.draw();
    });
    // Scrollable elements need focus to be scrolled by keys.
    this.byId('panel').tabIndex = this.byId('table').tabIndex = 0;
    this.setAxis('time');
    this.open();
    this.draw();
    document.documentElement.dataset.ready = 'yes';
  }

  /** Show the part that the link names, or else the part that matters most. */
  private open(): void {
    const linked = readMoment(location.hash);
    if (linked !== undefined) {
      this.setAxis(linked.axis);
      this.viewport.showRange(linked.from, linked.to);
      this.cursor = linked.cursor;
      const run = this.runs[linked.run];
      const call = run?.callNumbered(linked.call);
      if (run !== undefined && call !== undefined) this.choose(run, call);
      return;
    }
    // If all events have the same time, only the axis of events can show them.
    if (this.runs.every((run) => run.extent('time') <= 0)) {
      this.setAxis('order');
      this.cursor = Math.max(...this.runs.map((run) => run.table.length - 1));
      return;
    }
    const place = placeToOpen(this.runs);
    this.viewport.showRange(place.from, place.to);
    this.cursor = place.cursor;
  }

  private resize(): void {
    const { clientWidth } = this.canvas;
    this.gutter = gutterOf(clientWidth);
    this.viewport.setWidth(clientWidth - this.gutter);
    this.lanes.resize();
    this.draw();
  }

  setAxis(axis: Axis): void {
    const [first] = this.runs;
    const moved = (position: number | undefined) => {
      const record = first === undefined || position === undefined ? -1 : first.recordAt(position, this.axis);
      return first === undefined || record < 0 ? position : first.position(record, axis);
    };
    [this.cursor, this.mark] = [moved(this.cursor), moved(this.mark)];
    this.axis = axis;
    this.byId('axis-time').setAttribute('aria-pressed', String(axis === 'time'));
    this.byId('axis-order').setAttribute('aria-pressed', String(axis === 'order'));
    const extent = Math.max(...this.runs.map((run) => run.extent(axis)));
    this.viewport.setAxis(extent, closest[axis], Math.min(...this.runs.map((run) => run.first(axis))));
    this.draw();
  }

  zoom(factor: number): void {
    const x = this.cursor === undefined ? Number.NaN : this.viewport.x(this.cursor);
    this.viewport.zoom(factor, x >= 0 && x <= this.viewport.width ? x : this.viewport.width / 2);
    this.draw();
  }

  fit(): void {
    this.viewport.fit();
    this.draw();
  }

  zoomToChosen(): void {
    if (this.chosen === undefined) return;
    const { run, call } = this.chosen;
    this.viewport.show(run.callStart(call, this.axis), run.callEnd(call, this.axis));
    this.draw();
  }

  chooseNothing(): void {
    this.chosen = undefined;
    this.mark = undefined;
    this.draw();
  }

  /** Show the lanes of a run, and its state first in the panel. Without a run: of the next one. */
  showRun(run = this.nextRun): void {
    const [first] = run?.lanes ?? [];
    const placed = this.lanes.placeOf(first);
    if (run === undefined || placed === undefined) return;
    this.lanes.scrollTo(placed);
    this.lane = run.lanes.find(({ kind }) => kind === 'thread') ?? first;
    this.say(run.title);
    this.draw();
  }

  private get nextRun(): Run | undefined {
    const { runs, currentRun } = this;
    return currentRun === undefined ? undefined : runs[(runs.indexOf(currentRun) + 1) % runs.length];
  }

  private get currentRun(): Run | undefined {
    return this.lane?.run ?? this.runs[0];
  }

  moveLane(by: number): void {
    const next = this.lanes.further(this.lane, by);
    if (next === undefined) return;
    this.lane = next.lane;
    this.lanes.reveal(next);
    this.say(`${next.lane.label}, ${next.lane.run.table.subject.queue ?? next.lane.run.name}`);
  }

  /** Choose the next call of the current lane. */
  moveCall(by: number): void {
    if (this.lane === undefined) this.moveLane(1);
    const { lane } = this;
    if (lane === undefined) return;
    const { run, segments } = lane;
    const { segmentCall } = run.timeline;
    const mine = this.chosen?.run === run ? this.chosen.call : undefined;
    let at =
      mine === undefined
        ? run.firstEndingAfter(lane, this.cursor ?? 0, this.axis) - (by > 0 ? 1 : 0)
        : segments.findIndex((segment) => segmentCall.at(segment) === mine);
    if (mine !== undefined && at < 0) at = by > 0 ? -1 : segments.length;
    do at += by;
    while (at >= 0 && at < segments.length && segmentCall.at(segments[at] ?? 0) === mine);
    const segment = segments[at];
    if (segment === undefined) return;
    this.choose(run, segmentCall.at(segment));
    this.cursor = run.start(segment, this.axis);
    this.viewport.reveal(this.cursor);
  }

  /** Move the cursor by one event of the current lane's run. */
  moveCursor(by: number): void {
    const run = this.currentRun;
    if (run === undefined) return;
    const record = Math.min(Math.max(run.recordAt(this.cursor ?? 0, this.axis) + by, 0), run.table.length - 1);
    // Several events may have the same time. Only the axis of events can show a step between them.
    if (this.axis === 'time' && run.position(record, 'time') === this.cursor) {
      const { from, to } = { from: this.viewport.start, to: this.viewport.end };
      const [first, last] = [run.recordAt(from, 'time'), run.recordAt(to, 'time')];
      this.setAxis('order');
      this.viewport.show(Math.max(0, first), Math.max(first + 20, last));
    }
    this.cursor = run.position(record, this.axis);
    this.viewport.reveal(this.cursor);
    const events = run.table.eventsAt(record).map(sentence).join('; ');
    const deadlock = deadlockWords(run.timeline, waitGraph(run.timeline, record)).join('; ');
    this.say(deadlock === '' ? events : `${events}. Deadlock: ${deadlock}`);
  }

  /** Place the cursor and choose the call there; or place the mark, to measure from the cursor. */
  click(x: number, y: number, measures: boolean): void {
    const position = this.viewport.position(x - this.gutter);
    if (measures) {
      this.mark = position;
      this.draw();
      return;
    }
    this.cursor = position;
    this.mark = undefined;
    const hit = this.hit(x, y);
    this.lane = this.laneAt(y) ?? this.lane;
    if (hit === undefined) this.chosen = undefined;
    else this.choose(hit.lane.run, hit.call);
    this.draw();
  }

  setMark(): void {
    this.mark = this.mark === undefined ? this.cursor : undefined;
  }

  private choose(run: Run, call: number): void {
    this.chosen = { run, call };
    const { timeline } = run;
    this.say(
      `Call ${timeline.callNumber.at(call)} of ${timeline.clientOf(call)}, ${purpose(run, call)}, ` +
        `${run.took(timeline.callEnd.at(call) - timeline.callBegin.at(call))}` +
        `${timeline.isUnfinished(call) ? ', has not ended' : ''}: ` +
        [...timeline.segmentsOf(call)]
          .slice(0, 20)
          .map((segment) => `${doing(segment)} ${run.took(segment.end - segment.start)}`)
          .join(', '),
    );
    const placed = this.lanes.placeOf(run.lanes[run.laneOfCall[call] ?? 0]);
    if (placed !== undefined && this.lane?.run !== run) this.lanes.reveal(placed);
    this.draw();
  }

  /** Search for a text. The same text again moves to the next match. */
  searchNext(text: string): void {
    if (!this.found.isAbout(text)) this.search(text);
    const match = this.found.next();
    if (match === undefined) return;
    if (match.call !== undefined) {
      this.choose(match.run, match.call);
      this.cursor = match.run.start(match.run.timeline.callFirstSegment.at(match.call), this.axis);
    } else this.cursor = match.run.position(match.record, this.axis);
    this.viewport.reveal(this.cursor);
    this.draw();
  }

  search(text: string): void {
    this.found.search(text);
    this.byId('match-count').textContent = this.found.words;
    if (!this.byId('table').hidden) this.showTable(true);
    this.draw();
  }

  showTable(show: boolean): void {
    const [first] = this.runs;
    const run = this.lane?.run ?? first;
    const table = this.byId('table');
    const hadFocus = table.contains(document.activeElement) || this.stage.contains(document.activeElement);
    table.hidden = !show;
    this.stage.hidden = show;
    this.byId('table-toggle').setAttribute('aria-pressed', String(show));
    if (show && run !== undefined) this.table.show(run, this.found.matches.get(run));
    if (hadFocus || document.activeElement === document.body) (show ? table : this.stage).focus();
  }

  get tableShown(): boolean {
    return !this.byId('table').hidden;
  }

  scrollBy(pixels: number): void {
    this.lanes.scrollBy(pixels);
  }

  laneAt(y: number): Lane | undefined {
    return this.lanes.at(y);
  }

  private hit(x: number, y: number): Hit | undefined {
    return this.lanes.hit(x - this.gutter, y, this.viewport, this.axis);
  }

  showTooltip(x: number, y: number): void {
    const tooltip = this.byId('tooltip');
    const lane = this.laneAt(y);
    const position = this.viewport.position(x - this.gutter);
    const lines =
      lane === undefined || x < this.gutter
        ? undefined
        : tooltipLines(lane, position, this.hit(x, y), this.axis, this.viewport.step);
    tooltip.hidden = lines === undefined;
    if (lines === undefined) return;
    tooltip.replaceChildren(...lines);
    const { clientWidth, clientHeight } = this.canvas;
    tooltip.style.left = `${Math.max(0, Math.min(x + 14, clientWidth - tooltip.offsetWidth - 8))}px`;
    tooltip.style.top = `${Math.max(0, Math.min(y + 16, clientHeight - tooltip.offsetHeight - 8))}px`;
  }

  private say(text: string): void {
    this.byId('status').textContent = text;
  }

  /** A URL of the current view. */
  get link(): string {
    const { axis, viewport, cursor, chosen, runs } = this;
    return momentOf({
      axis,
      from: viewport.start,
      to: viewport.end,
      cursor: cursor ?? viewport.start,
      run: chosen === undefined ? -1 : runs.indexOf(chosen.run),
      call: chosen === undefined ? 0 : chosen.run.timeline.callNumber.at(chosen.call),
    });
  }

  draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const { runs, axis, viewport, gutter, cursor, mark, hover, chosen, lane, shown } = this;
      const { scroll, placed } = this.lanes;
      const { matches } = this.found;
      const position = hover ?? cursor ?? 0;
      const states = this.side.statesAt(position, axis);
      const waits = new Map(states.map(({ run, graph }) => [run, graph]));
      const scene = { runs, axis, viewport, gutter, scroll, cursor, mark, hover, chosen, lane, matches, shown, waits };
      this.painter.draw(scene, placed);
      this.overview.draw(this.colours, viewport, axis);
      const { currentRun } = this;
      this.side.show({ axis, chosen, cursor, mark, current: currentRun, step: viewport.step }, states);
    });
  }
}
