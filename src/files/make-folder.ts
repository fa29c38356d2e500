import { lstatSync, mkdirSync, readlinkSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

export interface MakeFolderOptions {
  /** Permissions of new folders (default: 0777), reduced by the umask. */
  readonly mode?: number;
  /** Called after each folder was created, the topmost first. */
  readonly made?: (folder: string) => void;
}

/**
 * Create a folder and its missing parents. Node's own `recursive` does not return for some paths that cannot be created,
 * as in /proc.
 * @returns the topmost folder that was created; undefined if the folder existed.
 * @throws the system's error, with the path in its message.
 */
export function makeFolderSync(path: string, { mode = 0o777, made }: MakeFolderOptions = {}): string | undefined {
  const missing: string[] = [];
  const wanted = resolve(path);
  for (let folder = wanted; !isFolder(folder, folder === wanted ? 'EEXIST' : 'ENOTDIR'); folder = dirname(folder)) {
    missing.unshift(folder);
    if (dirname(folder) === folder) break;
  }
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode });
    } catch (error) {
      // Another process created it first.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isFolder(folder, 'EEXIST')) throw error;
    }
    made?.(folder);
  }
  return missing[0];
}

/**
 * @param code of the error if the path is something else, as mkdir(2) has it: EEXIST for the folder itself, ENOTDIR for a
 * parent.
 * @throws the system's error if the path cannot be examined.
 */
function isFolder(path: string, code: 'EEXIST' | 'ENOTDIR'): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status !== undefined && !status.isDirectory())
    throw Object.assign(new Error(`${code}: ${path} is not a folder`), { code, syscall: 'mkdir' });
  if (status === undefined && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    throw Object.assign(
      new Error(`ENOENT: ${path} is a symbolic link to ${readlinkSync(path)}, which does not exist`),
      { code: 'ENOENT', syscall: 'mkdir' },
    );
  return status !== undefined;
}
