import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import { addLcov, lcovText } from './lcov.js';
import type { LineCounts } from './line-coverage.js';

export interface CoverageSummary {
  readonly file: string;
  /** Number of lines with code, and of those that were executed. */
  readonly lines: number;
  readonly hit: number;
}

/**
 * Merge all files with an extension in a folder, and other files in lcov's format, into one; none is written if there
 * are none.
 * @returns a summary of each source file.
 */
export async function mergeCoverage(
  folder: string,
  extension: string,
  others: readonly string[],
  into: string,
): Promise<CoverageSummary[]> {
  const counts: LineCounts = new Map();
  const parts = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(extension)).sort();
  for (const path of [...parts.map((name) => join(folder, name)), ...others])
    addLcov(await readRegularText(path).catch(() => ''), counts);
  if (counts.size === 0) return [];
  makeFolderSync(dirname(into));
  writeWholeSync(into, lcovText(counts));
  return [...counts]
    .map(([file, lines]) => ({ file, lines: lines.size, hit: [...lines.values()].filter((hits) => hits > 0).length }))
    .sort((a, b) => (a.file < b.file ? -1 : 1));
}
