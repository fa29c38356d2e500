import { CallState, deadlockWords, waitGraph } from '../../src/trace/index.js';
import { CallTable } from './call-table.js';
import { gutter, Painter, type PlacedLane, placeLanes, readColours, ruler } from './draw.js';
import { callPanel, element, statePanel } from './panel.js';
import type { Axis, Lane, Run } from './run.js';
import { type Matches, search } from './search.js';
import { Viewport } from './viewport.js';
import { doing, duration, purpose, sentence, stateNames } from './words.js';

const legend = [CallState.secure, CallState.rpc, CallState.queue, CallState.door] as const;
const legendVariables = ['secure', 'rpc', 'queue', 'door'] as const;
/** The highest zoom: milliseconds, or events, a pixel. */
const closest = { time: 1e-6, order: 1 / 120 } as const;
/** Traces in virtual time with fewer events open in the order of events: much of them happens at the same time. */
const fewEvents = 3000;

interface Hit {
  readonly lane: Lane;
  readonly call: number;
  readonly segment: number;
}

/** The page: what the person does becomes a scene, and the scene is drawn. */
export class TimelinePage {
  private readonly viewport = new Viewport();
  private readonly placed: readonly PlacedLane[];
  private readonly painter: Painter;
  private readonly canvas: HTMLCanvasElement;
  private readonly table: CallTable;
  private axis: Axis = 'time';
  private scroll = 0;
  private cursor: number | undefined;
  private hover: number | undefined;
  private chosen: { run: Run; call: number } | undefined;
  private lane: Lane | undefined;
  private matches = new Map<Run, Matches>();
  private matchAt = -1;
  private readonly shown = new Set<number>(legend);
  private frame = 0;

  constructor(
    private readonly runs: readonly Run[],
    private readonly byId: (id: string) => HTMLElement,
  ) {
    this.placed = placeLanes(runs);
    this.canvas = byId('canvas') as HTMLCanvasElement;
    this.painter = new Painter(this.canvas, readColours());
    this.table = new CallTable(byId('table'), (run, call) => {
      this.showTable(false);
      this.choose(run, call);
      this.zoomToChosen();
    });
  }

  start(): void {
    const [first] = this.runs;
    const title = first?.table.subject.title ?? this.runs.map(({ title: each }) => each).join(' and ');
    this.byId('title').textContent = title;
    this.byId('title').title = title;
    document.title = `${title} · normalworld`;
    const virtual = this.runs.every(({ table }) => table.subject.clock === 'virtual' && table.length < fewEvents);
    this.makeLegend();
    this.listen();
    this.setAxis(virtual ? 'order' : 'time');
    this.cursor = Math.max(...this.runs.map((run) => run.position(run.table.length - 1, this.axis)));
    this.draw();
    document.documentElement.dataset.ready = 'yes';
  }

  private makeLegend(): void {
    const root = this.byId('legend');
    legend.forEach((state, index) => {
      const box = element('input', { type: 'checkbox', checked: '' }) as HTMLInputElement;
      const chip = element('i', { 'aria-hidden': 'true' });
      chip.style.background = `var(--${legendVariables[index]})`;
      root.append(element('label', {}, box, chip, stateNames[state]));
      box.addEventListener('change', () => {
        if (box.checked) this.shown.add(state);
        else this.shown.delete(state);
        this.draw();
      });
    });
  }

  private listen(): void {
    const { canvas, byId } = this;
    const resized = () => {
      this.viewport.setWidth(canvas.clientWidth - gutter);
      this.draw();
    };
    new ResizeObserver(resized).observe(canvas);
    this.viewport.setWidth(canvas.clientWidth - gutter);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.painter.setColours(readColours());
      this.draw();
    });
    canvas.addEventListener('wheel', (event) => this.onWheel(event), { passive: false });
    this.listenToPointer();
    // What scrolls can be scrolled by keys.
    byId('panel').tabIndex = byId('table').tabIndex = 0;
    const stage = this.byId('stage');
    stage.tabIndex = 0;
    stage.addEventListener('keydown', (event) => this.onKey(event));
    document.addEventListener('keydown', (event) => {
      if (event.target instanceof HTMLInputElement || event.target === stage) return;
      if ('/?t'.includes(event.key)) this.onKey(event);
    });
    byId('axis-time').addEventListener('click', () => this.setAxis('time'));
    byId('axis-order').addEventListener('click', () => this.setAxis('order'));
    byId('zoom-in').addEventListener('click', () => this.zoom(0.6));
    byId('zoom-out').addEventListener('click', () => this.zoom(1 / 0.6));
    byId('fit').addEventListener('click', () => this.fit());
    byId('table-toggle').addEventListener('click', () => this.showTable(byId('table').hidden === true));
    byId('help-toggle').addEventListener('click', () => (byId('help') as HTMLDialogElement).showModal());
    const input = byId('search') as HTMLInputElement;
    let timer = 0;
    input.addEventListener('input', () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => this.search(input.value), 120);
    });
    byId('search-form').addEventListener('submit', (event) => {
      event.preventDefault();
      clearTimeout(timer);
      this.search(input.value);
      this.nextMatch();
    });
  }

  private onWheel(event: WheelEvent): void {
    event.preventDefault();
    const x = event.offsetX - gutter;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
      this.viewport.pan(event.deltaX || event.deltaY);
    else if (event.offsetX < gutter) this.scrollBy(event.deltaY);
    else this.viewport.zoom(Math.exp(event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), x);
    this.draw();
  }

  private listenToPointer(): void {
    const { canvas } = this;
    let from: { x: number; y: number; moved: boolean } | undefined;
    canvas.addEventListener('pointerdown', (event) => {
      from = { x: event.offsetX, y: event.offsetY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (from !== undefined && event.buttons === 1) {
        const dx = event.offsetX - from.x;
        const dy = event.offsetY - from.y;
        if (!from.moved && Math.hypot(dx, dy) < 4) return;
        this.viewport.pan(-dx);
        this.scrollBy(-dy);
        from = { x: event.offsetX, y: event.offsetY, moved: true };
      }
      this.hover = event.offsetX < gutter ? undefined : this.viewport.position(event.offsetX - gutter);
      this.showTooltip(event.offsetX, event.offsetY);
      this.draw();
    });
    canvas.addEventListener('pointerup', (event) => {
      const clicked = from !== undefined && !from.moved;
      from = undefined;
      if (!clicked || event.offsetX < gutter) return;
      this.cursor = this.viewport.position(event.offsetX - gutter);
      const hit = this.hit(event.offsetX, event.offsetY);
      this.lane = this.laneAt(event.offsetY) ?? this.lane;
      if (hit === undefined) this.chosen = undefined;
      else this.choose(hit.lane.run, hit.call);
      this.draw();
    });
    canvas.addEventListener('dblclick', () => this.zoomToChosen());
    canvas.addEventListener('pointerleave', () => {
      this.hover = undefined;
      this.byId('tooltip').hidden = true;
      this.draw();
    });
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.viewport.pan(-80),
      ArrowRight: () => this.viewport.pan(80),
      ArrowUp: () => this.moveLane(-1),
      ArrowDown: () => this.moveLane(1),
      '+': () => this.zoom(0.6),
      '=': () => this.zoom(0.6),
      '-': () => this.zoom(1 / 0.6),
      '0': () => this.fit(),
      n: () => this.moveCall(1),
      p: () => this.moveCall(-1),
      '[': () => this.moveCursor(-1),
      ']': () => this.moveCursor(1),
      o: () => this.setAxis(this.axis === 'time' ? 'order' : 'time'),
      t: () => this.showTable(this.byId('table').hidden === true),
      '/': () => this.byId('search').focus(),
      '?': () => (this.byId('help') as HTMLDialogElement).showModal(),
      Enter: () => this.zoomToChosen(),
      Escape: () => {
        this.chosen = undefined;
      },
    };
    const action = actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
    this.draw();
  }

  private setAxis(axis: Axis): void {
    const [first] = this.runs;
    const record = first !== undefined && this.cursor !== undefined ? first.recordAt(this.cursor, this.axis) : -1;
    this.axis = axis;
    this.byId('axis-time').setAttribute('aria-pressed', String(axis === 'time'));
    this.byId('axis-order').setAttribute('aria-pressed', String(axis === 'order'));
    const extent = Math.max(...this.runs.map((run) => run.extent(axis)));
    this.viewport.setAxis(extent, closest[axis]);
    if (first !== undefined && record >= 0) this.cursor = first.position(record, axis);
    this.draw();
  }

  private zoom(factor: number): void {
    const x = this.cursor === undefined ? Number.NaN : this.viewport.x(this.cursor);
    this.viewport.zoom(factor, x >= 0 && x <= this.viewport.width ? x : this.viewport.width / 2);
    this.draw();
  }

  private fit(): void {
    this.viewport.fit();
    this.draw();
  }

  private zoomToChosen(): void {
    if (this.chosen === undefined) return;
    const { run, call } = this.chosen;
    const { timeline } = run;
    let last = timeline.callFirstSegment.at(call);
    const from = run.start(last, this.axis);
    for (let next = last; next >= 0; next = timeline.segmentNext.at(next)) last = next;
    this.viewport.show(from, run.end(last, this.axis));
    this.draw();
  }

  private moveLane(by: number): void {
    const lanes = this.placed.filter(({ lane }) => lane.segments.length > 0);
    const at = lanes.findIndex(({ lane }) => lane === this.lane);
    const next = lanes[Math.min(Math.max(at + by, 0), lanes.length - 1)];
    if (next === undefined) return;
    this.lane = next.lane;
    this.revealLane(next);
    this.say(`${next.lane.label}, ${next.lane.run.table.subject.queue ?? next.lane.run.name}`);
  }

  private revealLane({ top, lane }: PlacedLane): void {
    const room = this.canvas.clientHeight - ruler;
    if (top < this.scroll) this.scroll = top;
    else if (top + lane.height > this.scroll + room) this.scroll = top + lane.height - room;
  }

  /** The next call of the lane that the keys are in. */
  private moveCall(by: number): void {
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

  /** One event on or back, of the run that the keys are in. */
  private moveCursor(by: number): void {
    const run = this.lane?.run ?? this.runs[0];
    if (run === undefined) return;
    const record = Math.min(Math.max(run.recordAt(this.cursor ?? 0, this.axis) + by, 0), run.table.length - 1);
    // Several events may lie at one time: stepping is by event, which only the other axis can show.
    if (this.axis === 'time' && run.position(record, 'time') === this.cursor) this.setAxis('order');
    this.cursor = run.position(record, this.axis);
    this.viewport.reveal(this.cursor);
    const events = run.table.eventsAt(record).map(sentence).join('; ');
    const deadlock = deadlockWords(run.timeline, waitGraph(run.timeline, record)).join('; ');
    this.say(deadlock === '' ? events : `${events}. Deadlock: ${deadlock}`);
  }

  private choose(run: Run, call: number): void {
    this.chosen = { run, call };
    const { timeline } = run;
    this.say(
      `Call ${timeline.callNumber.at(call)} of ${timeline.clientOf(call)}, ${purpose(run, call)}, ` +
        `${duration(timeline.callEnd.at(call) - timeline.callBegin.at(call))}` +
        `${timeline.isUnfinished(call) ? ', has not ended' : ''}: ` +
        [...timeline.segmentsOf(call)]
          .slice(0, 20)
          .map((segment) => `${doing(segment)} ${duration(segment.end - segment.start)}`)
          .join(', '),
    );
    const lane = run.lanes[run.laneOfCall[call] ?? 0];
    const placed = this.placed.find((each) => each.lane === lane);
    if (placed !== undefined && this.lane?.run !== run) this.revealLane(placed);
    this.draw();
  }

  private search(text: string): void {
    this.matches = new Map();
    for (const run of this.runs) {
      const found = search(run, text);
      if (found !== undefined) this.matches.set(run, found);
    }
    this.matchAt = -1;
    const count = [...this.matches.values()].reduce((sum, { calls, notes }) => sum + calls.length + notes.length, 0);
    this.byId('match-count').textContent = this.matches.size === 0 ? '' : count === 1 ? '1 match' : `${count} matches`;
    if (!this.byId('table').hidden) this.showTable(true);
    this.draw();
  }

  private nextMatch(): void {
    const all = [...this.matches].flatMap(([run, { calls, notes }]) => [
      ...Array.from(calls, (call) => ({ run, call, record: undefined })),
      ...notes.map((record) => ({ run, call: undefined, record })),
    ]);
    if (all.length === 0) return;
    this.matchAt = (this.matchAt + 1) % all.length;
    const match = all[this.matchAt];
    if (match === undefined) return;
    if (match.call !== undefined) {
      this.choose(match.run, match.call);
      this.cursor = match.run.start(match.run.timeline.callFirstSegment.at(match.call), this.axis);
    } else this.cursor = match.run.position(match.record, this.axis);
    this.viewport.reveal(this.cursor);
    this.draw();
  }

  private showTable(show: boolean): void {
    const [first] = this.runs;
    const run = this.lane?.run ?? first;
    this.byId('table').hidden = !show;
    this.byId('stage').hidden = show;
    this.byId('table-toggle').setAttribute('aria-pressed', String(show));
    if (show && run !== undefined) this.table.show(run, this.matches.get(run));
  }

  private scrollBy(pixels: number): void {
    const last = this.placed[this.placed.length - 1];
    const whole = last === undefined ? 0 : last.top + last.lane.height;
    this.scroll = Math.max(0, Math.min(this.scroll + pixels, whole - (this.canvas.clientHeight - ruler)));
  }

  private laneAt(y: number): Lane | undefined {
    const top = y - ruler + this.scroll;
    return this.placed.find((each) => top >= each.top && top < each.top + each.lane.height)?.lane;
  }

  private hit(x: number, y: number): Hit | undefined {
    const lane = this.laneAt(y);
    if (lane === undefined || lane.segments.length === 0 || x < gutter) return undefined;
    const { run, segments } = lane;
    // Two pixels of grace: thin bars are hard to meet.
    const position = this.viewport.position(x - gutter - 2);
    const until = this.viewport.position(x - gutter + 2);
    const segment = segments[run.firstEndingAfter(lane, position, this.axis)];
    if (segment === undefined || run.start(segment, this.axis) > until) return undefined;
    return { lane, call: run.timeline.segmentCall.at(segment), segment };
  }

  private showTooltip(x: number, y: number): void {
    const tooltip = this.byId('tooltip');
    const lines = this.tooltipAt(x, y);
    tooltip.hidden = lines === undefined;
    if (lines === undefined) return;
    tooltip.replaceChildren(...lines);
    const { clientWidth, clientHeight } = this.canvas;
    tooltip.style.left = `${Math.min(x + 14, clientWidth - tooltip.offsetWidth - 8)}px`;
    tooltip.style.top = `${Math.min(y + 16, clientHeight - tooltip.offsetHeight - 8)}px`;
  }

  private tooltipAt(x: number, y: number): Node[] | undefined {
    const lane = this.laneAt(y);
    if (lane === undefined || x < gutter) return undefined;
    const { run } = lane;
    const position = this.viewport.position(x - gutter);
    if (lane.kind === 'queue') {
      const count = run.asleep.at(run.recordAt(position, this.axis));
      return [element('b', {}, `${count} asleep in the queue`)];
    }
    if (lane.kind === 'notes') {
      const near = run.timeline.notes.find(
        (record) => Math.abs(run.position(record, this.axis) - position) < this.viewport.step * 5,
      );
      return near === undefined
        ? undefined
        : run.table.eventsAt(near).map((event) => element('b', {}, sentence(event)));
    }
    const hit = this.hit(x, y);
    if (hit === undefined) return undefined;
    const { timeline } = run;
    const segment = timeline.segment(hit.segment);
    return [
      element('b', {}, `${timeline.clientOf(hit.call)} · #${timeline.callNumber.at(hit.call)}`),
      element('div', {}, `${doing(segment)}, ${duration(segment.end - segment.start)}`),
      element('span', {}, `${purpose(run, hit.call)}, from ${duration(segment.start - timeline.begin)}`),
    ];
  }

  private say(text: string): void {
    this.byId('status').textContent = text;
  }

  private draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const { runs, axis, viewport, scroll, cursor, hover, chosen, lane, matches, shown } = this;
      const position = hover ?? cursor ?? 0;
      const states = runs.map((run) => {
        const record = run.recordAt(position, axis);
        const open = run.timeline.stateAfter(record);
        return { run, open, graph: waitGraph(run.timeline, record, open) };
      });
      const waits = new Map(states.map(({ run, graph }) => [run, graph]));
      this.painter.draw(
        { runs, axis, viewport, scroll, cursor, hover, chosen, lane, matches, shown, waits },
        this.placed,
      );
      const sections = states.map(({ run, open, graph }) => statePanel(run, open, graph));
      if (chosen !== undefined) sections.unshift(callPanel(chosen.run, chosen.call, waits.get(chosen.run)));
      this.byId('panel').replaceChildren(...sections);
    });
  }
}
