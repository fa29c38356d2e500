import { type Segment, type WaitGraph, waitGraph } from '../../../src/trace/index.js';
import { element } from '../panel/element.js';
import { callPanel, statePanel } from '../panel/panel.js';
import { longestWaitsPanel, selectionPanel } from '../panel/story-panel.js';
import type { Axis, Run } from '../run/run.js';

/** The state of a run at a position. */
export interface RunState {
  readonly run: Run;
  readonly open: readonly Segment[];
  readonly graph: WaitGraph;
}

interface View {
  readonly axis: Axis;
  readonly chosen: { readonly run: Run; readonly call: number } | undefined;
  readonly cursor: number | undefined;
  readonly mark: number | undefined;
  /** The run whose lanes are in use; it comes first. */
  readonly current: Run | undefined;
  /** What one pixel stands for. */
  readonly step: number;
}

const noSections: readonly HTMLElement[] = [];

/** The panel beside the timeline. What is computed or shown already is kept, because every frame asks for it. */
export class SidePanel {
  private readonly waitLists: ReadonlyMap<Run, HTMLElement | undefined>;
  private states: readonly RunState[] = [];
  private content: readonly unknown[] = [];
  private measured: { readonly key: string; readonly sections: readonly HTMLElement[] } = { key: '', sections: [] };

  constructor(
    private readonly panel: HTMLElement,
    private readonly runs: readonly Run[],
    show: (run: Run, call: number) => void,
  ) {
    this.waitLists = new Map(runs.map((run) => [run, longestWaitsPanel(run, (call) => show(run, call))]));
  }

  /** The state of each run at a position. */
  statesAt(position: number, axis: Axis): readonly RunState[] {
    const records = this.runs.map((run) => run.recordAt(position, axis));
    if (this.states.length === 0 || records.some((record, index) => this.states[index]?.graph.record !== record))
      this.states = this.runs.map((run, index) => {
        const record = records[index] ?? -1;
        const open = run.timeline.stateAfter(record);
        return { run, open, graph: waitGraph(run.timeline, record, open) };
      });
    return this.states;
  }

  /** Show the states, the chosen call, and the measurements. */
  show(view: View, states: readonly RunState[]): void {
    const { chosen, current, step } = view;
    const measurements = this.measurements(view);
    // Times are shown with as many digits as the zoom makes visible.
    const precision = Math.ceil(-Math.log10(step) - 1e-9);
    const content = [states, current, chosen?.run, chosen?.call, measurements, precision];
    if (content.every((each, index) => each === this.content[index])) return;
    this.content = content;
    const ordered = [...states].sort((one, other) => Number(other.run === current) - Number(one.run === current));
    const sections = ordered.map(({ run, open, graph }) => statePanel(run, open, graph, step));
    if (chosen !== undefined) {
      const graph = states.find(({ run }) => run === chosen.run)?.graph;
      sections.unshift(callPanel(chosen.run, chosen.call, graph));
    } else for (const run of this.runs) sections.push(this.waitLists.get(run) ?? element('section', { hidden: '' }));
    this.panel.replaceChildren(...measurements, ...sections);
  }

  private measurements({ cursor, mark, axis, step }: View): readonly HTMLElement[] {
    if (cursor === undefined || mark === undefined) return noSections;
    const [from, to] = [Math.min(cursor, mark), Math.max(cursor, mark)];
    const key = `${from} ${to} ${axis}`;
    if (this.measured.key !== key)
      this.measured = { key, sections: this.runs.map((run) => selectionPanel(run, from, to, axis, step)) };
    return this.measured.sections;
  }
}
