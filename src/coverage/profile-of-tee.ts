import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElfFolders } from '../symbolize/elf-folder.js';
import type { CodeBlock } from './coverage-map.js';
import { qemuPlugin } from './coverage-plugin.js';
import { type FoldedStacks, foldedText } from './folded-stacks.js';
import { functionsAt } from './frames.js';
import type { LoadedImage } from './loaded-image.js';
import { LoadedImages } from './loaded-images.js';
import { ProfileMap } from './profile-map.js';

/** Where QEMU's flash ends, which the firmware runs in: it polls for calls, and is nobody's to measure. */
const flashEnd = 0x0400_0000n;

/** How deep an application's stack got. */
export interface StackMark {
  readonly uuid: string;
  /** Bytes that were in use at most, of those that it has. Without the entry's own frame, some 100 bytes. */
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
 * What a TEE executes, in instructions by calls: of the applications of which there are ELFs with symbols, and of OP-TEE itself where
 * tee.elf is there, with functions; of others their names.
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
   * @param stackSizeOf bytes of stack that an application has, by its ELF.
   * @throws Error when the plugin is missing and cannot be built.
   */
  static async start(
    folder: string,
    elves: ElfFolders,
    stackSizeOf: (elf: string) => number,
    qemu: string | undefined,
  ): Promise<ProfileOfTee> {
    return new ProfileOfTee(new ProfileMap(await qemuPlugin('profile', qemu)), folder, elves, stackSizeOf);
  }

  /** A line of the secure console. */
  read(text: string): void {
    this.images.read(text);
  }

  /** What has been executed so far. */
  profile(): TeeProfile {
    const blocks = this.map.blocks();
    const places = blocks.map((block) => this.placeOf(block));
    const names = this.functions(blocks, places);
    const nodes = this.map.nodes();
    const stacks: FoldedStacks = new Map();
    // A node comes after the one that called: the stack of that one is known.
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

  /** Write it: files of their own, as several TEEs may write at once. */
  write(): void {
    const { stacks, marks } = this.profile();
    mkdirSync(this.folder, { recursive: true });
    const path = join(this.folder, `${process.pid}-${randomUUID()}`);
    writeFileSync(`${path}.folded`, foldedText(stacks));
    writeFileSync(`${path}.stacks.json`, `${JSON.stringify(marks)}\n`);
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

  /** The functions that each block is in, the outermost first. */
  private functions(blocks: readonly CodeBlock[], places: readonly (Place | undefined)[]): (readonly string[])[] {
    const named: (readonly string[])[] = [];
    for (const [name, image] of this.images) {
      const own = places.flatMap((place, number) =>
        // At its end: a call, where it is one.
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
      // The highest word is stored with the one behind it; a stack is aligned to 16 bytes.
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
