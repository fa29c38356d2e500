import type { ElfFolders } from '../symbolize/elf-folder.js';
import { CoverageOfTee } from './coverage-of-tee.js';
import { ProfileOfTee } from './profile-of-tee.js';

/** Where what is measured goes; what has no folder is not measured. */
export interface MeasurementFolders {
  readonly coverage: string | undefined;
  readonly flameGraph: string | undefined;
}

/** What is measured of one TEE, by plugins of QEMU's. */
export class Measurements implements Disposable {
  private constructor(private readonly all: readonly (CoverageOfTee | ProfileOfTee)[]) {}

  /** @throws Error when a plugin is missing and cannot be built. */
  static async start(
    folders: MeasurementFolders,
    elves: ElfFolders,
    stackSizeOf: (elf: string) => number,
    qemu: string | undefined,
  ): Promise<Measurements> {
    const { coverage, flameGraph } = folders;
    return new Measurements([
      ...(coverage === undefined ? [] : [await CoverageOfTee.start(coverage, elves, qemu)]),
      ...(flameGraph === undefined ? [] : [await ProfileOfTee.start(flameGraph, elves, stackSizeOf, qemu)]),
    ]);
  }

  /** For QEMU. */
  get plugins(): readonly { readonly plugin: string; readonly fd: number }[] {
    return this.all.map(({ map }) => map);
  }

  /** A line of the secure console. */
  read(text: string): void {
    for (const each of this.all) each.read(text);
  }

  /** Write what was measured, when secure world is gone. */
  finish(): void {
    try {
      for (const each of this.all) each.write();
    } finally {
      this[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    for (const each of this.all) each[Symbol.dispose]();
  }
}
