import type { ElfFolders } from '../symbolize/elf-folder.js';
import { CoverageOfTee } from './coverage-of-tee.js';
import { ProfileOfTee } from './profile-of-tee.js';

/** Output folders of measurements; without a folder, the measurement is off. */
export interface MeasurementFolders {
  readonly coverage: string | undefined;
  readonly flameGraph: string | undefined;
}

/** The measurements of one TEE with QEMU plugins. */
export class Measurements implements Disposable {
  private constructor(private readonly all: readonly (CoverageOfTee | ProfileOfTee)[]) {}

  /** @throws Error if a plugin is missing and cannot be built. */
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

  /** Plugins and descriptors for QEMU. */
  get plugins(): readonly { readonly plugin: string; readonly fd: number }[] {
    return this.all.map(({ map }) => map);
  }

  /** Process a line of the secure console. */
  read(text: string): void {
    for (const each of this.all) each.read(text);
  }

  /** Write the results after secure world has ended. @throws the first failure, after all have been tried. */
  finish(): void {
    const failures: unknown[] = [];
    for (const each of this.all)
      try {
        each.write();
      } catch (error) {
        failures.push(error);
      }
    this[Symbol.dispose]();
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.dispose](): void {
    for (const each of this.all) each[Symbol.dispose]();
  }
}
