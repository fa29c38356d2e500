import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { startTimer } from '../clock/timer.js';
import { projectFiles, watchFiles } from './project-folders.js';
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

/**
 * Tell what changes in a project, batch by batch; the next one is told when the last has been dealt with.
 * @returns resolves when it watches, to what ends it.
 */
export async function watchChanges(
  root: string,
  applications: readonly TaSources[],
  changed: (changes: Changes) => Promise<void>,
): Promise<() => void> {
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
  const stop = await watchFiles(root, (path) => {
    pending.add(path);
    cancel();
    cancel = startTimer(quietMs, () => void tell());
  });
  return () => {
    over = true;
    cancel();
    stop();
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
  const headers = (await readdir(application.folder, { recursive: true }))
    .filter((path) => path.endsWith('.h') && !path.endsWith('user_ta_header_defines.h'))
    .map((path) => path.slice(path.lastIndexOf('/') + 1));
  const words = [uuid, ...headers, `${relative(root, application.folder)}/`];
  const texts = await scripts(root);
  const naming = [...texts].filter(([, text]) => words.some((word) => text.includes(word))).map(([file]) => file);
  return dependents(texts, naming);
}

/** Test files of a project that are one of these files, or import one, themselves or by others. */
export async function testsWith(root: string, files: readonly string[]): Promise<string[]> {
  return dependents(await scripts(root), files);
}

async function scripts(root: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const file of await projectFiles(root))
    if (/\.[cm]?[jt]s$/.test(file)) texts.set(file, await readFile(join(root, file), 'utf8').catch(() => ''));
  return texts;
}

function dependents(texts: ReadonlyMap<string, string>, files: readonly string[]): string[] {
  const bare = (path: string) => path.replace(/\.[cm]?[jt]s$/, '');
  const found = new Set(files);
  const names = new Set(files.map(bare));
  for (let grew = true; grew; ) {
    grew = false;
    for (const [file, text] of texts) {
      if (found.has(file)) continue;
      // `import x from`, `export * from`, `import 'x'`, `import('x')`
      const imported = [...text.matchAll(/(?:\bfrom|\bimport\s*\(?)\s*['"](\.[^'"]+)['"]/g)].map(([, path = '']) =>
        bare(join(file, '..', path)),
      );
      if (!imported.some((path) => names.has(path))) continue;
      found.add(file);
      names.add(bare(file));
      grew = true;
    }
  }
  return [...found].filter((file) => texts.has(file) && /\.(?:test|spec)\.[cm]?[jt]s$/.test(file)).sort();
}
