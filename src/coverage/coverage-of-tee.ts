import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElfFolders } from '../symbolize/elf-folder.js';
import { CoverageMap } from './coverage-map.js';
import { coveragePlugin } from './coverage-plugin.js';
import { lcovText } from './lcov.js';
import { type LineCounts, LineCoverage } from './line-coverage.js';
import { LoadedImages } from './loaded-images.js';

/** Extensions of what is written: applications, and OP-TEE itself. */
export const coverageFiles = { applications: '.lcov', core: '.core-lcov' } as const;

/**
 * Line coverage of the applications that a TEE loads, of which there are ELFs with symbols, and of OP-TEE itself where tee.elf is
 * there.
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

  /** @throws Error when the plugin is missing and cannot be built. */
  static async start(folder: string, elves: ElfFolders, qemu: string | undefined): Promise<CoverageOfTee> {
    return new CoverageOfTee(new CoverageMap(await coveragePlugin(qemu)), folder, elves);
  }

  /** A line of the secure console. */
  read(text: string): void {
    this.images.read(text);
  }

  /** Write what ran: files of their own, as several TEEs may write at once. */
  write(): void {
    const hits = this.map.takeHits();
    const { blocks } = this.map;
    const [applications, core]: LineCounts[] = [new Map(), new Map()];
    for (const [name, image] of this.images) {
      const coverage = new LineCoverage(image);
      coverage.add(blocks, hits);
      coverage.count((name === 'core' ? core : applications) ?? new Map());
    }
    mkdirSync(this.folder, { recursive: true });
    const path = join(this.folder, `${process.pid}-${randomUUID()}`);
    writeFileSync(`${path}${coverageFiles.applications}`, lcovText(applications ?? new Map()));
    if (core !== undefined && core.size > 0) writeFileSync(`${path}${coverageFiles.core}`, lcovText(core));
  }

  [Symbol.dispose](): void {
    this.map[Symbol.dispose]();
  }
}
