import type { CodeBlock } from './coverage-map.js';
import { lineTable, type SourceLine } from './line-table.js';
import type { LoadedImage } from './loaded-image.js';

/** Number of executions by file and line. */
export type LineCounts = Map<string, Map<number, number>>;

/** Sources of the TA dev kit are linked into every application and are not under test. */
const ofKit = /\/(?:ta_dev_kit|export-ta_arm\d\d)\//;

/** Coverage of one image. */
export class LineCoverage {
  private readonly lines: readonly SourceLine[];
  /** Executions of blocks by offset in the ELF file, with their length in bytes. */
  private readonly ranges = new Map<number, { length: number; hits: number }>();

  constructor(private readonly image: LoadedImage) {
    this.lines = lineTable(image.elf).filter(({ file }) => !ofKit.test(file));
  }

  /** Add the executions of blocks that belong to this image. */
  add(blocks: readonly CodeBlock[], hits: Uint8Array): void {
    hits.forEach((count, number) => {
      const block = blocks[number];
      if (count === 0 || block === undefined) return;
      const offset = this.image.find(block)?.offset;
      if (offset === undefined) return;
      const length = 4 * block.instructions;
      const known = this.ranges.get(offset);
      if (known === undefined) this.ranges.set(offset, { length, hits: count });
      else {
        known.length = Math.max(known.length, length);
        known.hits += count;
      }
    });
  }

  /** Add the executions to the counts of lines. Lines that were not executed get 0. */
  count(counts: LineCounts): void {
    const ranges = [...this.ranges].sort(([a], [b]) => a - b);
    const longest = Math.max(0, ...ranges.map(([, { length }]) => length));
    for (const { file, line, address } of this.lines) {
      let hits = 0;
      // Only ranges that begin at most the longest range's length before an address can contain it.
      for (let at = firstFrom(ranges, address - longest); at < ranges.length; at++) {
        const [offset, range] = ranges[at] ?? [Number.POSITIVE_INFINITY, { length: 0, hits: 0 }];
        if (offset > address) break;
        if (address < offset + range.length) hits = Math.max(hits, range.hits);
      }
      const lines = counts.get(file) ?? new Map<number, number>();
      counts.set(file, lines);
      lines.set(line, Math.max(lines.get(line) ?? 0, hits));
    }
  }
}

/** The index of the first range that begins at or after an offset. */
function firstFrom(ranges: readonly (readonly [number, unknown])[], offset: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[0] ?? 0) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
