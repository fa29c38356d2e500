import { CallState, type Timeline } from '../../../src/trace/index.js';

/** Ranges of fewer values than this are searched one by one. */
const block = 32;

/**
 * The number of calls asleep in the queue, at each change. The largest value of any range is found in logarithmic time.
 */
export class StepChart {
  readonly records: Uint32Array;
  readonly values: Uint32Array;
  readonly most: number;
  /** Each value of a level is the largest of `block` values of the level below. */
  private readonly levels: Uint32Array[];

  constructor(timeline: Timeline) {
    const changes: { record: number; change: number }[] = [];
    for (let segment = 0; segment < timeline.segmentCount; segment++) {
      if (timeline.segmentState.at(segment) !== CallState.queue) continue;
      changes.push({ record: timeline.segmentStartRecord.at(segment), change: 1 });
      const end = timeline.segmentEndRecord.at(segment);
      if (end < timeline.table.length) changes.push({ record: end, change: -1 });
    }
    changes.sort((a, b) => a.record - b.record);
    this.records = Uint32Array.from(changes, ({ record }) => record);
    let value = 0;
    this.values = Uint32Array.from(changes, ({ change }) => {
      value += change;
      return value;
    });
    this.levels = [this.values];
    for (let below = this.values; below.length > block; ) {
      const level = new Uint32Array(Math.ceil(below.length / block));
      below.forEach((each, index) => {
        const at = Math.floor(index / block);
        level[at] = Math.max(level[at] ?? 0, each);
      });
      this.levels.push(level);
      below = level;
    }
    this.most = this.values.reduce((most, each) => Math.max(most, each), 0);
  }

  /** The index of the first change after a record. */
  firstAfter(record: number): number {
    let low = 0;
    let high = this.records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.records[middle] ?? 0) <= record) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The number of calls asleep after a record. */
  at(record: number): number {
    return this.values[this.firstAfter(record) - 1] ?? 0;
  }

  /** The largest value of the changes `from` to `to`, exclusive. */
  largest(from: number, to: number, level = 0): number {
    const values = this.levels[level] ?? this.values;
    let most = 0;
    let at = from;
    while (at < to && at % block !== 0) most = Math.max(most, values[at++] ?? 0);
    let end = to;
    while (end > at && end % block !== 0) most = Math.max(most, values[--end] ?? 0);
    if (end <= at) return most;
    if (level + 1 < this.levels.length) return Math.max(most, this.largest(at / block, end / block, level + 1));
    for (; at < end; at++) most = Math.max(most, values[at] ?? 0);
    return most;
  }
}
