import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElfFolders } from '../symbolize/elf-folder.js';
import { parseConsoleLine } from '../worlds/qemu/console-line.js';
import { CoverageMap } from './coverage-map.js';
import { coveragePlugin } from './coverage-plugin.js';
import { lcovText } from './lcov.js';
import { type LineCounts, LineCoverage } from './line-coverage.js';

const loaded = /^ELF \((?<uuid>[0-9a-f-]{36})\) at (?<address>0x[0-9a-f]+)/i;

/**
 * Line coverage of the applications that a TEE loads, of which there are ELFs with symbols. The console says where they are:
 * OP-TEE with log level 3, as Debian's has.
 */
export class CoverageOfTee implements Disposable {
  private readonly applications = new Map<string, LineCoverage>();

  private constructor(
    readonly map: CoverageMap,
    private readonly folder: string,
    private readonly elves: ElfFolders,
  ) {}

  /** @throws Error when the plugin is missing and cannot be built. */
  static async start(folder: string, elves: ElfFolders, qemu: string | undefined): Promise<CoverageOfTee> {
    return new CoverageOfTee(new CoverageMap(await coveragePlugin(qemu)), folder, elves);
  }

  /** A line of the secure console. */
  read(text: string): void {
    const { uuid, address } = loaded.exec(parseConsoleLine(text).parsed?.message ?? '')?.groups ?? {};
    if (uuid === undefined || address === undefined) return;
    const elf = this.elves.elfOf(uuid.toLowerCase());
    if (elf === undefined) return;
    const application = this.applications.get(elf) ?? new LineCoverage(elf);
    this.applications.set(elf, application);
    application.loadedAt(BigInt(address));
  }

  /** Write what ran: a file of its own, as several TEEs may write at once. */
  write(): void {
    const hits = this.map.takeHits();
    const counts: LineCounts = new Map();
    for (const application of this.applications.values()) {
      application.add(this.map.blocks, hits);
      application.count(counts);
    }
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(join(this.folder, `${process.pid}-${randomUUID()}.lcov`), lcovText(counts));
  }

  [Symbol.dispose](): void {
    this.map[Symbol.dispose]();
  }
}
