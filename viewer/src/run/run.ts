import { CallNames, CallState, Timeline, type TraceTable } from '../../../src/trace/index.js';
import { clientRows } from '../../../src/trace/timeline/client-rows.js';
import { preciseTime } from './precise-time.js';
import { duration } from './short-time.js';
import { StepChart } from './step-chart.js';

export type Axis = 'time' | 'order';

export interface Lane {
  readonly run: Run;
  readonly kind: 'title' | 'notes' | 'queue' | 'thread' | 'client';
  readonly label: string;
  readonly height: number;
  /** Indices of the segments in this lane. They do not overlap, and are in order of time. */
  readonly segments: Uint32Array;
  /** True for the second and further rows of a client, which have no label. */
  readonly continued: boolean;
}

const laneHeight = { title: 30, notes: 20, queue: 40, thread: 26, client: 22 } as const;
const noSegments = new Uint32Array(0);

/** Calls that exceeded the deadline of their kind of client. The kind of client `storage 3` is `storage`. */
function lateCalls(timeline: Timeline): readonly number[] {
  const deadlines = timeline.table.subject.verdict?.deadlines;
  if (deadlines === undefined) return [];
  const ofClient = timeline.clients.map((label) => {
    const kind = Object.hasOwn(deadlines, label) ? label : label.replace(/ \d+$/, '');
    return Object.hasOwn(deadlines, kind) ? (deadlines[kind] ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  });
  const origin = timeline.table.subject.originMs ?? timeline.begin;
  const late: number[] = [];
  for (let call = 0; call < timeline.callCount; call++) {
    const begin = timeline.callBegin.at(call);
    if (begin >= origin && timeline.callEnd.at(call) - begin > (ofClient[timeline.callClient.at(call)] ?? 0))
      late.push(call);
  }
  return late;
}

/** A trace, prepared for drawing. */
export class Run {
  readonly timeline: Timeline;
  readonly lanes: readonly Lane[];
  readonly asleep: StepChart;
  /** By call: the index in `lanes` of the client's row. */
  readonly laneOfCall: Uint32Array;
  /** Records of wake-ups that were given to calls that were not asleep. */
  readonly unusedWakeUps: readonly number[];
  /** Those of them given while another call was asleep. */
  readonly swallowedWakeUps: ReadonlySet<number>;
  readonly names: CallNames;
  /** Calls that exceeded the deadline of their client, in order of their beginning. */
  readonly lateCalls: readonly number[];
  /** The time of the trace's clock at position 0 of the axis of time, in milliseconds. */
  readonly base: number;
  private readonly threadLane: number[] = [];

  constructor(
    readonly name: string,
    readonly table: TraceTable,
  ) {
    this.timeline = new Timeline(table);
    this.asleep = new StepChart(this.timeline);
    const { timeline } = this;
    this.names = new CallNames(timeline);
    this.base = table.subject.originMs ?? timeline.begin;
    this.unusedWakeUps = timeline.wakeUps.filter(({ unused }) => unused).map(({ record }) => record);
    this.swallowedWakeUps = new Set(this.unusedWakeUps.filter((record) => this.asleep.at(record) > 0));
    this.lateCalls = lateCalls(timeline);
    const lanes: Lane[] = [];
    const add = (kind: Lane['kind'], label: string, segments: Uint32Array = noSegments, continued = false) =>
      lanes.push({ run: this, kind, label, height: laneHeight[kind], segments, continued }) - 1;
    add('title', this.title);
    if (timeline.notes.length > 0) add('notes', 'console, faults, marks');
    add('queue', 'asleep in queue');
    const { row, rows } = clientRows(timeline);
    const firstRow: number[] = [];
    let rowCount = 0;
    for (const count of rows) {
      firstRow.push(rowCount);
      rowCount += count;
    }
    const rowOf = (call: number) => (firstRow[timeline.callClient.at(call)] ?? 0) + (row[call] ?? 0);
    const threadSegments = this.collect(timeline.threads, (segment) => {
      const state = timeline.segmentState.at(segment);
      const held = state === CallState.secure || state === CallState.rpc;
      const call = timeline.segmentCall.at(segment);
      // Refused with ETHREAD_LIMIT: the call was in secure world, but had no thread.
      const entered = timeline.segmentStartRecord.at(segment) >= timeline.callEnteredRecord.at(call);
      return held && entered ? timeline.callThread.at(call) : -1;
    });
    for (let thread = 0; thread < timeline.threads; thread++)
      this.threadLane.push(add('thread', `thread ${thread}`, threadSegments[thread]));
    const rowSegments = this.collect(rowCount, (segment) => rowOf(timeline.segmentCall.at(segment)));
    const laneOfRow: number[] = [];
    timeline.clients.forEach((label, client) => {
      for (let index = 0; index < (rows[client] ?? 0); index++)
        laneOfRow.push(add('client', label, rowSegments[(firstRow[client] ?? 0) + index], index > 0));
    });
    this.laneOfCall = Uint32Array.from({ length: timeline.callCount }, (_, call) => laneOfRow[rowOf(call)] ?? 0);
    this.lanes = lanes;
  }

  /** The trace is a schedule of the explorer, in which one step takes one millisecond. */
  get isSchedule(): boolean {
    return this.table.subject.world === 'schedule';
  }

  /** The time shown for position 0, in milliseconds. The times of a board's kernel clock are kept. */
  get shift(): number {
    return this.table.subject.clock === 'linux' ? this.base : 0;
  }

  /** Where the axis begins; set-up has positions below 0. */
  first(axis: Axis): number {
    return axis === 'time' ? Math.min(0, this.timeline.begin - this.base) : 0;
  }

  /** The index of the call with a number. */
  callNumbered(number: number): number | undefined {
    const { timeline } = this;
    for (let call = 0; call < timeline.callCount; call++) if (timeline.callNumber.at(call) === number) return call;
    return undefined;
  }

  callStart(call: number, axis: Axis): number {
    return axis === 'time' ? this.timeline.callBegin.at(call) - this.base : this.timeline.callBeginRecord.at(call);
  }

  callEnd(call: number, axis: Axis): number {
    return axis === 'time'
      ? this.timeline.callEnd.at(call) - this.base
      : Math.min(this.timeline.callEndRecord.at(call), this.table.length);
  }

  /**
   * A position as text.
   * @param step what one pixel stands for.
   */
  placeWords(position: number, axis: Axis, step: number): string {
    if (axis === 'order') return `event ${Math.floor(position) + 1}`;
    if (this.isSchedule) return `step ${Math.floor(position + 1e-6) + 1}`;
    return preciseTime(position + this.shift, step);
  }

  /** A duration as text. */
  took(ms: number): string {
    return this.isSchedule ? `${Math.round(ms)} ${Math.round(ms) === 1 ? 'step' : 'steps'}` : duration(ms);
  }

  /** The distance between two positions as text. */
  spanWords(span: number, axis: Axis, step: number): string {
    if (axis === 'order') return `${Math.round(span)} events`;
    return this.isSchedule ? `${Math.round(span)} steps` : preciseTime(span, step);
  }

  /** `DEADLOCK, closed at 20.9 ms`. */
  get verdictWords(): string {
    const { verdict, clock } = this.table.subject;
    if (verdict === undefined) return '';
    const { outcome, hangsSinceMs } = verdict;
    const word = outcome.replace('-', ' ').toUpperCase();
    if (hangsSinceMs === undefined) return word;
    const at = Math.max(0, hangsSinceMs - this.base + this.shift);
    // The kernel's format, so that it can be found in the kernel's log.
    const time = clock === 'linux' ? `${(at / 1000).toFixed(6)} s` : duration(at);
    return `${word}, ${outcome === 'deadlock' ? 'closed at' : 'since'} ${time}`;
  }

  get title(): string {
    const { title, world, queue } = this.table.subject;
    const parts = [queue ?? title, world, this.name].filter((part) => part !== undefined);
    return [...new Set(parts)].join(' · ');
  }

  /** The lane of a thread. */
  laneOfThread(thread: number): number | undefined {
    return this.threadLane[thread];
  }

  /** The length of the axis, in milliseconds or events. */
  extent(axis: Axis): number {
    return axis === 'time' ? this.timeline.end - this.base : this.table.length;
  }

  start(segment: number, axis: Axis): number {
    return axis === 'time'
      ? this.timeline.segmentStart.at(segment) - this.base
      : this.timeline.segmentStartRecord.at(segment);
  }

  end(segment: number, axis: Axis): number {
    return axis === 'time'
      ? this.timeline.segmentEnd.at(segment) - this.base
      : Math.min(this.timeline.segmentEndRecord.at(segment), this.table.length);
  }

  /** The position of a record on the axis. */
  position(record: number, axis: Axis): number {
    return axis === 'time' ? this.table.time(record) - this.base : record;
  }

  /** The last record at or before a position; -1 if there is none. */
  recordAt(position: number, axis: Axis): number {
    if (axis === 'order') return Math.min(Math.floor(position), this.table.length - 1);
    const time = position + this.base;
    let low = 0;
    let high = this.table.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.table.time(middle) <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The index in `lane.segments` of the first segment that ends after a position. */
  firstEndingAfter(lane: Lane, position: number, axis: Axis, from = 0): number {
    let low = from;
    let high = lane.segments.length;
    // It is often near: search the next 1, 2, 4, 8 segments before all.
    for (let reach = 1; low + reach <= high; reach *= 2) {
      if (this.end(lane.segments[low + reach - 1] ?? 0, axis) > position) {
        high = low + reach - 1;
        break;
      }
      low += reach;
    }
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.end(lane.segments[middle] ?? 0, axis) <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Distribute the segments to `lists` lists. `placeOf` gives the list of a segment; a negative number leaves it out.
   */
  private collect(lists: number, placeOf: (segment: number) => number): Uint32Array[] {
    const { timeline } = this;
    const counts = new Uint32Array(lists);
    for (let segment = 0; segment < timeline.segmentCount; segment++) {
      const place = placeOf(segment);
      if (place >= 0) counts[place] = (counts[place] ?? 0) + 1;
    }
    const sorted = Array.from(counts, (count) => new Uint32Array(count));
    counts.fill(0);
    for (let segment = 0; segment < timeline.segmentCount; segment++) {
      const place = placeOf(segment);
      const list = sorted[place];
      if (list === undefined) continue;
      const at = counts[place] ?? 0;
      list[at] = segment;
      counts[place] = at + 1;
    }
    return sorted;
  }
}
