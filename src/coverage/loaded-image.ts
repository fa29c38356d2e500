import { readRegularFileSync } from '../files/read-regular-file.js';
import { codeSegments, imageBase } from './code-segments.js';
import type { CodeBlock } from './coverage-map.js';

/** An image that is loaded at a different address each time. It is recognised by its load address and its code. */
export class LoadedImage {
  private readonly loads = new Set<bigint>();
  private readonly segments: ReturnType<typeof codeSegments>;
  private readonly base: number;

  constructor(readonly elf: string) {
    const bytes = readRegularFileSync(elf);
    this.segments = codeSegments(bytes);
    this.base = imageBase(bytes);
  }

  loadedAt(address: bigint): void {
    this.loads.add(address);
  }

  /**
   * The offset of a block in the ELF file, and the load address; undefined if the block is not part of this image.
   * Other images may have used the same addresses at other times.
   */
  find({ address, code }: CodeBlock): { readonly offset: number; readonly load: bigint } | undefined {
    for (const load of this.loads) {
      if (address < load) continue;
      const offset = Number(address - load) + this.base;
      const segment = this.segments.find(({ start, bytes }) => offset >= start && offset < start + bytes.length);
      if (segment === undefined) continue;
      const at = offset - segment.start;
      if (Buffer.compare(segment.bytes.subarray(at, at + code.length), code) === 0) return { offset, load };
    }
    return undefined;
  }
}
