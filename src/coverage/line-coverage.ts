import { readFileSync } from 'node:fs';
import { codeSegments } from './code-segments.js';
import type { CodeBlock } from './coverage-map.js';
import { lineTable, type SourceLine } from './line-table.js';

/** How often each line of each file ran. */
export type LineCounts = Map<string, Map<number, number>>;

/** Sources of the kit that every application is linked with are nobody's to test. */
const ofKit = /\/(?:ta_dev_kit|export-ta_arm\d\d)\//;

/** An application whose blocks are told by where it was loaded, and by their code. */
export class LineCoverage {
  private readonly loads = new Set<bigint>();
  private readonly lines: readonly SourceLine[];
  private readonly segments: ReturnType<typeof codeSegments>;
  /** Hits by offset of the block in the ELF, with its length in bytes. */
  private readonly ranges = new Map<number, { length: number; hits: number }>();

  /** @param elf with symbols. */
  constructor(elf: string) {
    this.lines = lineTable(elf).filter(({ file }) => !ofKit.test(file));
    this.segments = codeSegments(readFileSync(elf));
  }

  /** It was loaded at that address: at another one each time. */
  loadedAt(address: bigint): void {
    this.loads.add(address);
  }

  /** Take the hits of blocks that are of this application. */
  add(blocks: readonly CodeBlock[], hits: Uint8Array): void {
    hits.forEach((count, number) => {
      const block = blocks[number];
      if (count === 0 || block === undefined) return;
      const offset = this.offsetOf(block);
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
    const ranges = [...this.ranges];
    for (const { file, line, address } of this.lines) {
      let hits = 0;
      for (const [offset, range] of ranges)
        if (address >= offset && address < offset + range.length) hits = Math.max(hits, range.hits);
      const lines = counts.get(file) ?? new Map<number, number>();
      counts.set(file, lines);
      lines.set(line, Math.max(lines.get(line) ?? 0, hits));
    }
  }

  /** Others are loaded at the same addresses at other times: the code tells. */
  private offsetOf({ address, code }: CodeBlock): number | undefined {
    for (const load of this.loads) {
      if (address < load) continue;
      const offset = Number(address - load);
      const segment = this.segments.find(({ start, bytes }) => offset >= start && offset < start + bytes.length);
      if (segment === undefined) continue;
      const at = offset - segment.start;
      if (Buffer.compare(segment.bytes.subarray(at, at + code.length), code) === 0) return offset;
    }
    return undefined;
  }
}
