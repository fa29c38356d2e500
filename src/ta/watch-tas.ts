import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { startTimer } from '../clock/timer.js';
import type { TaSources } from './ta-sources.js';

/** What has changed in a project, told once it is quiet. */
export interface Changes {
  /** Applications with a changed source. */
  readonly applications: readonly TaSources[];
  /** Other changed files that tests may depend on, relative to the project. */
  readonly files: readonly string[];
}

/** An editor that saves writes several times: what comes this soon after belongs to it. */
const quietMs = 40;
const ignored = /(?:^|\/)(?:node_modules|build|dist|vendor|\.git)(?:\/|$)|(?:^|\/)\.|~$|\.sw[a-z]$/;

/**
 * Tell what changes in a project, batch by batch; the next one is told when the last has been dealt with.
 * @returns ends it.
 */
export function watchChanges(
  root: string,
  applications: readonly TaSources[],
  changed: (changes: Changes) => Promise<void>,
): () => void {
  const pending = new Set<string>();
  let cancel = () => {};
  let busy = false;
  let over = false;
  const tell = async () => {
    if (busy || over || pending.size === 0) return;
    busy = true;
    const paths = [...pending];
    pending.clear();
    try {
      await changed(sorted(root, applications, paths));
    } finally {
      busy = false;
      void tell();
    }
  };
  const watcher: FSWatcher = watch(root, { recursive: true }, (_event, name) => {
    if (name === null || ignored.test(name)) return;
    pending.add(name);
    cancel();
    cancel = startTimer(quietMs, () => void tell());
  });
  return () => {
    over = true;
    cancel();
    watcher.close();
  };
}

function sorted(root: string, applications: readonly TaSources[], paths: readonly string[]): Changes {
  const of = (path: string) =>
    applications.find(({ folder }) => `${join(root, path)}${sep}`.startsWith(`${folder}${sep}`));
  return {
    applications: [...new Set(paths.flatMap((path) => of(path) ?? []))],
    files: paths.filter((path) => of(path) === undefined && /\.(?:[cm]?[jt]s|json)$/.test(path)),
  };
}

/** Test files of a project that name an application: its header, its UUID, its folder, in themselves or what they import. */
export async function testsOf(root: string, application: TaSources, uuid: string): Promise<string[]> {
  const files = (await readdir(root, { recursive: true })).filter(
    (path) => /\.[cm]?[jt]s$/.test(path) && !ignored.test(path),
  );
  const headers = (await readdir(application.folder, { recursive: true }))
    .filter((path) => path.endsWith('.h') && !path.endsWith('user_ta_header_defines.h'))
    .map((path) => path.slice(path.lastIndexOf('/') + 1));
  const words = [uuid, ...headers, `${relative(root, application.folder)}/`];
  const texts = new Map<string, string>();
  for (const file of files) texts.set(file, await readFile(join(root, file), 'utf8').catch(() => ''));
  const names = new Set(files.filter((file) => words.some((word) => texts.get(file)?.includes(word))));
  // What imports such a file depends on the application as well.
  for (let grew = true; grew; ) {
    grew = false;
    for (const file of files) {
      if (names.has(file)) continue;
      const imported = [...(texts.get(file) ?? '').matchAll(/from\s+['"](\.[^'"]+)['"]/g)].map(([, path = '']) =>
        join(file, '..', path).replace(/\.[cm]?[jt]s$/, ''),
      );
      if (!imported.some((path) => [...names].some((name) => name.replace(/\.[cm]?[jt]s$/, '') === path))) continue;
      names.add(file);
      grew = true;
    }
  }
  return [...names].filter((file) => /\.(?:test|spec)\.[cm]?[jt]s$/.test(file)).sort();
}
