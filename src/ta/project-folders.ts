import { type Dirent, type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What nobody wrote by hand: modules, what is built, what editors and others keep for themselves. */
const ignored = /(?:^|\/)(?:node_modules|build|dist|vendor|coverage)(?:\/|$)|(?:^|\/)\.|~$|\.sw[a-z]$/;

/** The files of a project that are written by hand, relative to it. */
export async function projectFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { path, isFolder } of entries(root, '')) if (!isFolder) files.push(path);
  return files;
}

/**
 * Tell each of a project's own files that changes. Folders that nobody writes by hand are not looked into: modules alone would take
 * more watches than a user has.
 * @returns resolves when it watches, to what ends it.
 */
export async function watchFiles(root: string, changed: (path: string) => void): Promise<() => void> {
  const watchers = new Map<string, FSWatcher>();
  let over = false;
  const drop = (folder: string) => {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  };
  const add = (folder: string) => {
    if (over || watchers.has(folder)) return;
    const watcher = watch(join(root, folder), (_event, name) => {
      const path = name === null ? folder : join(folder, name);
      if (ignored.test(path)) return;
      changed(path);
      // A folder that has come, with what is in it already, or one that has gone.
      if (watchers.has(path)) drop(path);
      void follow(path, true);
    });
    watcher.on('error', () => drop(folder));
    watchers.set(folder, watcher);
  };
  const follow = async (folder: string, isNew: boolean) => {
    try {
      const found: string[] = [];
      for await (const { path, isFolder } of entries(root, folder))
        if (isFolder) add(path);
        else found.push(path);
      add(folder);
      if (isNew) for (const path of found) changed(path);
    } catch (error) {
      // A file, or gone again.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOTDIR' && code !== 'ENOENT') throw error;
    }
  };
  await follow('', false);
  return () => {
    over = true;
    for (const folder of [...watchers.keys()]) drop(folder);
  };
}

async function* entries(root: string, folder: string): AsyncGenerator<{ path: string; isFolder: boolean }> {
  const found: Dirent[] = await readdir(join(root, folder), { withFileTypes: true });
  for (const entry of found) {
    const path = join(folder, entry.name);
    if (ignored.test(path)) continue;
    yield { path, isFolder: entry.isDirectory() };
    if (entry.isDirectory()) yield* entries(root, path);
  }
}
