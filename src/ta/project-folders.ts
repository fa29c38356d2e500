import { type Dirent, type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Files that are not written by hand: modules, build output, files of editors and other tools. */
const ignored = /(?:^|\/)(?:node_modules|build|dist|vendor|coverage)(?:\/|$)|(?:^|\/)\.|~$|\.sw[a-z]$/;

/** The files of a project that are written by hand, as paths relative to it. */
export async function projectFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { path, isFolder } of entries(root, '')) if (!isFolder) files.push(path);
  return files;
}

/**
 * Report each change of a project's own files. Ignored folders are not watched: `node_modules` alone can exceed the
 * limit of inotify watches of a user.
 * @returns resolves when watching has begun, with a function that ends it.
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
      // A folder was added, possibly with content, or removed.
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
      // It is a file, or it was removed in the meantime.
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
