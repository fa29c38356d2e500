import { MemoryFile } from '../worlds/qemu/memory-file.js';

// struct map of firmware/coverage/coverage.c
const magic = 0x3176_636d;
const maxBlocks = 1 << 17;
const edgeCount = 1 << 16;
const hitsAt = 4096;
const blocksAt = hitsAt + maxBlocks;
const blockSize = 32;
const edgesAt = blocksAt + maxBlocks * blockSize;
const countsAt = edgesAt + 2 * edgeCount;
const size = countsAt + edgeCount;
/** Words of the header. */
const [countWord, lostWord, takenWord, roundWord] = [2, 3, 4, 5];

/** How many counters of edges there are. */
export const coverageEdges = edgeCount;

/** A block of code as QEMU translated it: it runs from its first instruction to its last. */
export interface CodeBlock {
  /** Its virtual address, at the time. */
  readonly address: bigint;
  /** How many instructions, of four bytes each. */
  readonly instructions: number;
  /** The first of them, up to four: what code it is, wherever it is loaded. */
  readonly code: Uint8Array;
}

/**
 * What of OP-TEE and its applications runs, in memory that a plugin of QEMU writes: which blocks, and from which to which. It is read
 * and cleared while they run, without a stop; between two calls that is what one call did.
 */
export class CoverageMap implements Disposable {
  private readonly file = MemoryFile.create('normalworld-coverage', size);
  private readonly hits = new Uint8Array(this.file.view(hitsAt, maxBlocks));
  private readonly table = new DataView(this.file.view(blocksAt, maxBlocks * blockSize));
  private readonly edges = new Uint16Array(this.file.view(edgesAt, 2 * edgeCount));
  private readonly counts = new Uint8Array(this.file.view(countsAt, edgeCount));
  private readonly words = new Uint32Array(this.file.view(0, hitsAt));
  private readonly known: CodeBlock[] = [];

  /** @param plugin the built plugin, for the QEMU that is used: `coveragePlugin`. */
  constructor(readonly plugin: string) {}

  /** To be inherited by QEMU. */
  get fd(): number {
    return this.file.fd;
  }

  /** Whether the plugin has been loaded. */
  get isLoaded(): boolean {
    return this.words[0] === magic;
  }

  /** Blocks for which there was no room: their coverage is missing. */
  get lostBlocks(): number {
    return this.words[lostWord] ?? 0;
  }

  /** Every block so far, by its number. */
  get blocks(): readonly CodeBlock[] {
    const count = Math.min(this.words[countWord] ?? 0, maxBlocks);
    for (let number = this.known.length; number < count; number++) {
      const at = number * blockSize;
      const instructions = this.table.getUint32(at + 8, true);
      const length = 4 * Math.min(instructions, 4);
      this.known.push({
        address: this.table.getBigUint64(at, true),
        instructions,
        code: new Uint8Array(this.table.buffer, at + 16, length).slice(),
      });
    }
    return this.known;
  }

  /** How often each block ran since the last time, by number: 255 is 255 or more. */
  takeHits(): Uint8Array {
    const { length } = this.blocks;
    const taken = this.hits.slice(0, length);
    this.hits.fill(0, 0, length);
    return taken;
  }

  /** How many edges were taken since the last time: it grows while code runs that did not run before. */
  get edgesTaken(): number {
    return Math.min(this.words[takenWord] ?? 0, edgeCount);
  }

  /**
   * The edges that were taken since the last time, in that order, and how often; then they are cleared. It costs as much as were
   * taken, so that it can be asked after each call.
   * @param each gets the edge's number, below `coverageEdges`, and its count, 255 for 255 or more.
   */
  drainEdges(each: (edge: number, count: number) => void): void {
    const { edgesTaken, edges, counts, words } = this;
    for (let index = 0; index < edgesTaken; index++) each(edges[index] ?? 0, counts[index] ?? 0);
    words[takenWord] = 0;
    words[roundWord] = ((words[roundWord] ?? 0) + 1) >>> 0;
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }
}
