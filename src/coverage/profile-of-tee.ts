import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { writeWholeSync } from '../files/write-whole.js';
import type { ElfFolders } from '../symbolize/elf-folder.js';
import type { CodeBlock } from './coverage-map.js';
import { qemuPlugin } from './coverage-plugin.js';
import { type FoldedStacks, foldedText } from './folded-stacks.js';
import { functionsAt } from './frames.js';
import type { LoadedImage } from './loaded-image.js';
import { LoadedImages } from './loaded-images.js';
import { ProfileMap } from './profile-map.js';

/** End of QEMU's flash, in which the firmware runs. It polls for calls and is not measured. */
const flashEnd = 0x0400_0000n;

/** Stack use of an application. */
export interface StackMark {
  readonly uuid: string;
  /**
   * Largest number of bytes in use, and the stack's size. The entry function's own frame (about 100 bytes) is not
   * included.
   */
  readonly used: number;
  readonly size: number;
}

export interface TeeProfile {
  readonly stacks: FoldedStacks;
  readonly marks: readonly StackMark[];
}

interface Place {
  readonly image: LoadedImage;
  readonly name: string;
  readonly offset: number;
  readonly load: bigint;
}

/**
 * The instructions that a TEE executes, by call stack: with functions for applications that have ELF files with
 * symbols, and for OP-TEE itself if tee.elf exists; other applications appear by name.
 */
export class ProfileOfTee implements Disposable {
  private readonly images: LoadedImages;

  private constructor(
    readonly map: ProfileMap,
    private readonly folder: string,
    elves: ElfFolders,
    private readonly stackSizeOf: (elf: string) => number,
  ) {
    this.images = new LoadedImages(elves);
  }

  /**
   * @param stackSizeOf returns an application's stack size in bytes, from its ELF file.
   * @throws Error if the plugin is missing and cannot be built.
   */
  static async start(
    folder: string,
    elves: ElfFolders,
    stackSizeOf: (elf: string) => number,
    qemu: string | undefined,
  ): Promise<ProfileOfTee> {
    return new ProfileOfTee(new ProfileMap(await qemuPlugin('profile', qemu)), folder, elves, stackSizeOf);
  }

  /** Process a line of the secure console. */
  read(text: string): void {
    this.images.read(text);
  }

  /** The profile so far. */
  profile(): TeeProfile {
    const blocks = this.map.blocks();
    const places = blocks.map((block) => this.placeOf(block));
    const names = this.functions(blocks, places);
    const nodes = this.map.nodes();
    const stacks: FoldedStacks = new Map();
    // A node comes after its caller, so the caller's stack is known.
    const frames: string[][] = [];
    nodes.forEach(({ parent, block, executed }, number) => {
      const address = blocks[block]?.address;
      if (number === 0 || address === undefined) return;
      const own =
        address < flashEnd ? [] : (names[block] ?? [this.map.isOfApplications(address) ? '[application]' : '[OP-TEE]']);
      const stack = [...(parent === undefined ? [] : (frames[parent] ?? []))];
      for (const name of own) if (isFunction(name) || stack.at(-1) !== name) stack.push(name);
      frames[number] = stack;
      if (stack.length === 0 || address < flashEnd || executed === 0) return;
      const key = stack.join(';');
      stacks.set(key, (stacks.get(key) ?? 0) + executed);
    });
    return { stacks, marks: this.marks(places) };
  }

  /** Write the profile to files with unique names, because several TEEs may write at the same time. */
  write(): void {
    const { stacks, marks } = this.profile();
    makeFolderSync(this.folder);
    const path = join(this.folder, `${process.pid}-${randomUUID()}`);
    writeWholeSync(`${path}.folded`, foldedText(stacks));
    writeWholeSync(`${path}.stacks.json`, `${JSON.stringify(marks)}\n`);
  }

  [Symbol.dispose](): void {
    this.map[Symbol.dispose]();
  }

  private placeOf(block: CodeBlock): Place | undefined {
    for (const [name, image] of this.images) {
      const found = image.find(block);
      if (found !== undefined) return { image, name, ...found };
    }
    return undefined;
  }

  /** The functions of each block, outermost first. */
  private functions(blocks: readonly CodeBlock[], places: readonly (Place | undefined)[]): (readonly string[])[] {
    const named: (readonly string[])[] = [];
    for (const [name, image] of this.images) {
      const own = places.flatMap((place, number) =>
        // The address of the block's last instruction, which is the call if there is one.
        place?.image === image ? [{ number, at: place.offset + 4 * ((blocks[number]?.instructions ?? 1) - 1) }] : [],
      );
      const found = functionsAt(image.elf, [...new Set(own.map(({ at }) => at))]);
      for (const { number, at } of own) named[number] = found.get(at) ?? [`[${name}]`];
    }
    return named;
  }

  private marks(places: readonly (Place | undefined)[]): StackMark[] {
    const loads = new Map<string, { readonly place: Place; low: bigint; high: bigint }>();
    places.forEach((place, number) => {
      const stack = place === undefined ? undefined : this.map.stackOf(number);
      if (place === undefined || stack === undefined || place.name === 'core') return;
      const key = `${place.name} ${place.load}`;
      const known = loads.get(key);
      if (known === undefined) loads.set(key, { place, ...stack });
      else {
        if (stack.low < known.low) known.low = stack.low;
        if (stack.high > known.high) known.high = stack.high;
      }
    });
    const marks = new Map<string, StackMark>();
    for (const { place, low, high } of loads.values()) {
      // The highest word may be stored as a pair with the next one. Stacks are aligned to 16 bytes.
      const used = Number(((high + 8n + 15n) & ~15n) - low);
      const size = this.stackSizeOf(place.image.elf);
      if (used > (marks.get(place.name)?.used ?? 0)) marks.set(place.name, { uuid: place.name, used, size });
    }
    return [...marks.values()];
  }
}

function isFunction(name: string): boolean {
  return !name.startsWith('[');
}
