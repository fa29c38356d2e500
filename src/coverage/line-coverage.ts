import type { CodeBlock } from './coverage-map.js';
import { lineTable, type SourceLine } from './line-table.js';
import type { LoadedImage } from './loaded-image.js';

/** How often each line of each file ran. */
export type LineCounts = Map<string, Map<number, number>>;

/** Sources of the kit that every application is linked with are nobody's to test. */
const ofKit = /\/(?:ta_dev_kit|export-ta_arm\d\d)\//;

/** What ran of an image. */
export class LineCoverage {
  private readonly lines: readonly SourceLine[];
  /** Hits by offset of the block in the ELF, with its length in bytes. */
  private readonly ranges = new Map<number, { length: number; hits: number }>();

  constructor(private readonly image: LoadedImage) {
    this.lines = lineTable(image.elf).filter(({ file }) => !ofKit.test(file));
  }

  /** Take the hits of blocks that are of this image. */
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

  /** Add what was taken to the counts of lines; those that did not run have 0. */
  count(counts: LineCounts): void {
    const ranges = [...this.ranges].sort(([a], [b]) => a - b);
    const longest = Math.max(0, ...ranges.map(([, { length }]) => length));
    for (const { file, line, address } of this.lines) {
      let hits = 0;
      // Only those that begin at most the longest one's length before it can hold it.
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

/** The index of the first range that begins there or beyond. */
function firstFrom(ranges: readonly (readonly [number, unknown])[], offset: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[0] ?? 0) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
