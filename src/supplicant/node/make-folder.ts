import { lstatSync, mkdirSync, readlinkSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../service-boundary.js';
import { folderToDiskNow } from './durability.js';

/**
 * Create a folder and its missing parents, each durable on return. Node's own `recursive` does not return for some
 * paths that cannot be created, as in /proc.
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
      // Another process created it first.
      if (errnoOf(error) !== 'EEXIST' || !isFolder(folder)) throw error;
    }
    folderToDiskNow(dirname(folder));
  }
}

/** @throws Error of the operating system if the path cannot be examined. */
function isFolder(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status !== undefined && !status.isDirectory())
    throw Object.assign(new Error(`ENOTDIR: ${path} is not a folder`), { code: 'ENOTDIR' });
  if (status === undefined && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    throw Object.assign(
      new Error(`ENOENT: ${path} is a symbolic link to ${readlinkSync(path)}, which does not exist`),
      {
        code: 'ENOENT',
      },
    );
  return status !== undefined;
}
