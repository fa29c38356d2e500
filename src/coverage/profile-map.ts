import { MemoryFile } from '../worlds/qemu/memory-file.js';
import type { CodeBlock } from './coverage-map.js';

// struct map of firmware/coverage/profile.c
const magic = 0x3166_706e;
const maxBlocks = 1 << 17;
const maxNodes = 1 << 19;
const [blockSize, nodeSize] = [32, 16];
const blocksAt = 4096;
const lowAt = blocksAt + maxBlocks * blockSize;
const highAt = lowAt + maxBlocks * 8;
const treeAt = highAt + maxBlocks * 8;
const size = treeAt + maxNodes * nodeSize;

/** A block in the context of a call stack. */
export interface ProfileNode {
  /** The calling block, as an index in `nodes`; undefined if there is none. */
  readonly parent: number | undefined;
  /** Index in `blocks`. */
  readonly block: number;
  /** Number of instructions executed here since the start. */
  readonly executed: number;
}

/**
 * The executed instructions of OP-TEE and its applications by call stack, and the stack depth, in shared memory that a
 * QEMU plugin writes.
 */
export class ProfileMap implements Disposable {
  private readonly file = MemoryFile.create('normalworld-profile', size);
  private readonly header = new DataView(this.file.view(0, blocksAt));
  private readonly table = new DataView(this.file.view(blocksAt, maxBlocks * blockSize));
  private readonly low = new DataView(this.file.view(lowAt, maxBlocks * 8));
  private readonly high = new DataView(this.file.view(highAt, maxBlocks * 8));
  private readonly tree = new DataView(this.file.view(treeAt, maxNodes * nodeSize));

  /** @param plugin path of the plugin built for the QEMU in use: `qemuPlugin('profile')`. */
  constructor(readonly plugin: string) {}

  /** Descriptor of the memory, inherited by QEMU. */
  get fd(): number {
    return this.file.fd;
  }

  /** Whether the plugin has been loaded. */
  get isLoaded(): boolean {
    return this.header.getUint32(0, true) === magic;
  }

  /** Number of blocks and nodes that did not fit and are missing. */
  get lost(): number {
    return this.header.getUint32(12, true) + this.header.getUint32(20, true);
  }

  /** Whether an address is in the GiB of virtual memory of applications. OP-TEE chooses another one at each boot. */
  isOfApplications(address: bigint): boolean {
    const gib = this.header.getUint32(24, true);
    return gib !== 0 && address >> 30n === BigInt(gib);
  }

  /** All blocks so far, by number. */
  blocks(): CodeBlock[] {
    return Array.from({ length: Math.min(this.header.getUint32(8, true), maxBlocks) }, (_, number) => {
      const at = number * blockSize;
      const instructions = this.table.getUint32(at + 8, true);
      const length = 4 * Math.min(instructions, 4);
      return {
        address: this.table.getBigUint64(at, true),
        instructions,
        code: new Uint8Array(this.table.buffer, this.table.byteOffset + at + 16, length).slice(),
      };
    });
  }

  /**
   * The lowest and highest address that a block has stored to relative to the stack pointer; undefined if it has not.
   */
  stackOf(block: number): { readonly low: bigint; readonly high: bigint } | undefined {
    const low = this.low.getBigUint64(block * 8, true);
    return low === 0n ? undefined : { low, high: this.high.getBigUint64(block * 8, true) };
  }

  /** All blocks in their contexts, by number; number 0 is unused. */
  nodes(): ProfileNode[] {
    return Array.from({ length: Math.min(this.header.getUint32(16, true), maxNodes) }, (_, number) => {
      const at = number * nodeSize;
      const parent = this.tree.getUint32(at, true);
      return {
        parent: parent === 0 ? undefined : parent,
        block: this.tree.getUint32(at + 4, true),
        executed: Number(this.tree.getBigUint64(at + 8, true)),
      };
    });
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }
}
