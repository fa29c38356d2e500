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
/** Word indices in the header. */
const [countWord, lostWord, takenWord, roundWord] = [2, 3, 4, 5];

/** Number of edge counters. */
export const coverageEdges = edgeCount;

/** A block of code as translated by QEMU: it is executed from its first to its last instruction. */
export interface CodeBlock {
  /** Its virtual address at the time of translation. */
  readonly address: bigint;
  /** Number of instructions, of four bytes each. */
  readonly instructions: number;
  /** Up to four of its first instructions, to identify the code independently of its address. */
  readonly code: Uint8Array;
}

/**
 * The executed code of OP-TEE and its applications, in shared memory that a QEMU plugin writes: counters of blocks and
 * of edges between blocks. It can be read and cleared during execution; the difference between two reads around a call
 * is the coverage of that call.
 */
export class CoverageMap implements Disposable {
  private readonly file = MemoryFile.create('normalworld-coverage', size);
  private readonly hits = new Uint8Array(this.file.view(hitsAt, maxBlocks));
  private readonly table = new DataView(this.file.view(blocksAt, maxBlocks * blockSize));
  private readonly edges = new Uint16Array(this.file.view(edgesAt, 2 * edgeCount));
  private readonly counts = new Uint8Array(this.file.view(countsAt, edgeCount));
  private readonly words = new Uint32Array(this.file.view(0, hitsAt));
  private readonly known: CodeBlock[] = [];

  /** @param plugin path of the plugin built for the QEMU in use: see `coveragePlugin`. */
  constructor(readonly plugin: string) {}

  /** Descriptor of the memory, inherited by QEMU. */
  get fd(): number {
    return this.file.fd;
  }

  /** Whether the plugin has been loaded. */
  get isLoaded(): boolean {
    return this.words[0] === magic;
  }

  /** Number of blocks that did not fit; their coverage is missing. */
  get lostBlocks(): number {
    return this.words[lostWord] ?? 0;
  }

  /** All blocks so far, by number. */
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

  /** Number of executions of each block since the last call, by number; at most 255. */
  takeHits(): Uint8Array {
    const { length } = this.blocks;
    const taken = this.hits.slice(0, length);
    this.hits.fill(0, 0, length);
    return taken;
  }

  /** Number of different edges since the last reset. It grows when code runs that did not run before. */
  get edgesTaken(): number {
    return Math.min(this.words[takenWord] ?? 0, edgeCount);
  }

  /**
   * Pass the edges executed since the last call to `each`, in order of first execution, and clear them. The cost is
   * proportional to their number, so it can be called after each call.
   * @param each called with the edge's number, below `coverageEdges`, and its count, at most 255.
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
