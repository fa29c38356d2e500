import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { startTimer } from '../clock/timer.js';
import { readRegularText } from '../files/read-regular-file.js';
import { projectFiles, watchFiles } from './project-folders.js';
import type { TaSources } from './ta-sources.js';

/** The changes in a project. */
export interface Changes {
  /** Applications with a changed source. */
  readonly applications: readonly TaSources[];
  /** Other changed files that tests may depend on, relative to the project. */
  readonly files: readonly string[];
}

/**
 * Milliseconds without a change before changes are reported. An editor that saves a file may write it several times.
 */
const quietMs = 40;

/**
 * Report the changes in a project in batches; a batch is reported after `changed` has resolved for the previous one.
 * @param applications those that exist now: folders may be added and removed.
 * @returns resolves when watching has begun, with a function that ends it.
 */
export async function watchChanges(
  root: string,
  applications: () => Promise<readonly TaSources[]>,
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
      await changed(sorted(root, await applications(), paths));
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

/**
 * The test files that name an application (its header, its UUID, its folder), directly or in a file that they import.
 */
export async function testsOf(root: string, application: TaSources, uuid: string): Promise<string[]> {
  const headers = (await readdir(application.folder, { recursive: true }).catch(() => []))
    .filter((path) => path.endsWith('.h') && !path.endsWith('user_ta_header_defines.h'))
    .map((path) => path.slice(path.lastIndexOf('/') + 1));
  return testsNaming(root, [uuid, ...headers, `${relative(root, application.folder)}/`]);
}

/** The test files with one of these words, directly or in a file that they import. */
export async function testsNaming(root: string, words: readonly string[]): Promise<string[]> {
  const texts = await scripts(root);
  const naming = [...texts].filter(([, text]) => words.some((word) => text.includes(word))).map(([file]) => file);
  return dependents(texts, naming);
}

/** The test files that are among `files`, or import one of them, directly or indirectly. */
export async function testsWith(root: string, files: readonly string[]): Promise<string[]> {
  return dependents(await scripts(root), files);
}

async function scripts(root: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const file of await projectFiles(root))
    if (/\.[cm]?[jt]s$/.test(file)) texts.set(file, await readRegularText(join(root, file)).catch(() => ''));
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
