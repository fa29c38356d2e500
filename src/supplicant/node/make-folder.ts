import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../service-boundary.js';
import { folderToDiskNow } from './durability.js';

/**
 * Make a folder and those above it that are missing, each on the disk when this returns. Node's own `recursive` does not
 * come back for a folder that can be named and not be made, as in /proc.
 * @throws Error of the operating system.
 */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = path; !isFolder(folder); folder = dirname(folder)) {
    missing.unshift(folder);
    if (dirname(folder) === folder) break;
  }
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      // Another process was quicker.
      if (errnoOf(error) !== 'EEXIST' || !isFolder(folder)) throw error;
    }
    folderToDiskNow(dirname(folder));
  }
}

/** @throws Error of the operating system when it cannot be told. */
function isFolder(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status !== undefined && !status.isDirectory())
    throw Object.assign(new Error(`ENOTDIR: ${path} is not a folder`), { code: 'ENOTDIR' });
  return status !== undefined;
}
