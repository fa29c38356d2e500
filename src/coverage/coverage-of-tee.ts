import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { writeWholeSync } from '../files/write-whole.js';
import type { ElfFolders } from '../symbolize/elf-folder.js';
import { CoverageMap } from './coverage-map.js';
import { coveragePlugin } from './coverage-plugin.js';
import { lcovText } from './lcov.js';
import { type LineCounts, LineCoverage } from './line-coverage.js';
import { LoadedImages } from './loaded-images.js';

/** Extensions of the output files, for applications and for OP-TEE itself. */
export const coverageFiles = { applications: '.lcov', core: '.core-lcov' } as const;

/**
 * Line coverage of the applications loaded by a TEE, if their ELF files with symbols exist, and of OP-TEE itself if
 * tee.elf exists.
 */
export class CoverageOfTee implements Disposable {
  private readonly images: LoadedImages;

  private constructor(
    readonly map: CoverageMap,
    private readonly folder: string,
    elves: ElfFolders,
  ) {
    this.images = new LoadedImages(elves);
  }

  /** @throws Error if the plugin is missing and cannot be built. */
  static async start(folder: string, elves: ElfFolders, qemu: string | undefined): Promise<CoverageOfTee> {
    return new CoverageOfTee(new CoverageMap(await coveragePlugin(qemu)), folder, elves);
  }

  /** Process a line of the secure console. */
  read(text: string): void {
    this.images.read(text);
  }

  /** Write the coverage to files with unique names, because several TEEs may write at the same time. */
  write(): void {
    const hits = this.map.takeHits();
    const { blocks } = this.map;
    const [applications, core]: LineCounts[] = [new Map(), new Map()];
    for (const [name, image] of this.images) {
      const coverage = new LineCoverage(image);
      coverage.add(blocks, hits);
      coverage.count((name === 'core' ? core : applications) ?? new Map());
    }
    makeFolderSync(this.folder);
    const path = join(this.folder, `${process.pid}-${randomUUID()}`);
    writeWholeSync(`${path}${coverageFiles.applications}`, lcovText(applications ?? new Map()));
    if (core !== undefined && core.size > 0) writeWholeSync(`${path}${coverageFiles.core}`, lcovText(core));
  }

  [Symbol.dispose](): void {
    this.map[Symbol.dispose]();
  }
}
