import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';

/** The sources of one trusted application: a folder whose Makefile includes the makefile of the TA dev kit. */
export interface TaSources {
  readonly name: string;
  readonly folder: string;
}

const depth = 3;

/**
 * The trusted applications in a folder or its subfolders.
 * @throws Error if there is none.
 */
export async function findTaSources(folder: string): Promise<TaSources[]> {
  const found = await below(resolve(folder), depth);
  if (found.length === 0)
    throw new Error(
      `no trusted application in ${resolve(folder)}: expected a Makefile that includes ta_dev_kit.mk. normalworld ta new NAME creates one`,
    );
  return withOwnNames(resolve(folder), found);
}

/** Applications in folders of the same name are called by their paths: the name selects the folder of the objects. */
function withOwnNames(root: string, all: readonly TaSources[]): TaSources[] {
  return all.map(({ name, folder }) => {
    const isShared = all.some((other) => other.name === name && other.folder !== folder);
    return { name: isShared ? relative(root, folder) : name, folder };
  });
}

async function below(folder: string, levels: number): Promise<TaSources[]> {
  const makefile = await readRegularText(join(folder, 'Makefile')).catch(() => '');
  if (/\bta_dev_kit\.mk\b/.test(makefile)) return [{ name: nameOf(folder), folder }];
  if (levels === 0) return [];
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter(
    (entry) => entry.isDirectory() && !/^\.|^(?:node_modules|build|dist)$/.test(entry.name),
  );
  const found: TaSources[] = [];
  for (const { name } of folders.sort((a, b) => (a.name < b.name ? -1 : 1)))
    found.push(...(await below(join(folder, name), levels - 1)));
  return found;
}

/** The name of an application: its folder, or for a folder called `ta`, as is usual, the parent folder. */
function nameOf(folder: string): string {
  const name = basename(folder);
  return name === 'ta' ? basename(resolve(folder, '..')) : name;
}

/** The root of the project of a folder: the nearest folder with a package.json, otherwise the folder itself. */
export function projectRoot(folder: string): string {
  for (let at = resolve(folder); ; at = resolve(at, '..')) {
    if (existsSync(join(at, 'package.json'))) return at;
    if (at === resolve(at, '..')) return resolve(folder);
  }
}
