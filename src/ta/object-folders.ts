import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import type { TaSources } from './ta-sources.js';

/** What objects are built from and with. make tracks files, not variables. */
export interface ObjectSettings {
  /** The folder of the sources. */
  readonly sources: string;
  readonly kit: string;
  readonly key: string | undefined;
  readonly variables: readonly string[];
}

const settingsFile = '.settings';

export const imageFolder = (into: string) => join(into, 'ta');
export const objectFolder = (into: string, { name }: TaSources) => join(into, 'objects', name);

/** Make the folder for the objects of an application. If its settings differ from those of the last build, it is emptied. */
export async function prepareObjects(folder: string, settings: ObjectSettings): Promise<void> {
  const file = join(folder, settingsFile);
  const text = JSON.stringify(settings);
  if ((await readRegularText(file).catch(() => '')) === text) return;
  await rm(folder, { recursive: true, force: true });
  makeFolderSync(folder);
  writeWholeSync(file, text);
}

/** The UUIDs of the images in a folder. */
export async function imagesIn(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch(() => []);
  return files.flatMap((file) => /^([0-9a-f-]{36})\.ta$/.exec(file)?.[1] ?? []);
}

/** Remove the images that an application had under other UUIDs, so that no test finds them. */
export async function forgetOtherUuids(into: string, objects: string, uuid: string): Promise<void> {
  for (const other of await imagesIn(objects)) {
    if (other === uuid) continue;
    await removeImage(into, other);
    for (const file of await readdir(objects))
      if (file.startsWith(`${other}.`)) await rm(join(objects, file), { force: true });
  }
}

/**
 * Remove objects and images of applications whose sources no longer exist, so that no test finds them.
 * @returns their names and UUIDs.
 */
export async function forgetRemovedTas(into: string): Promise<{ readonly name: string; readonly uuid: string }[]> {
  const removed: { name: string; uuid: string }[] = [];
  const all = join(into, 'objects');
  for (const file of await readdir(all, { recursive: true }).catch(() => [])) {
    if (file !== settingsFile && !file.endsWith(`/${settingsFile}`)) continue;
    const name = dirname(file);
    const sources = sourcesIn(await readRegularText(join(all, file)).catch(() => ''));
    if (sources === undefined || existsSync(join(sources, 'Makefile'))) continue;
    for (const uuid of await imagesIn(join(all, name))) {
      await removeImage(into, uuid);
      removed.push({ name, uuid });
    }
    await rm(join(all, name), { recursive: true, force: true });
  }
  return removed;
}

function sourcesIn(text: string): string | undefined {
  try {
    const { sources } = JSON.parse(text) as Partial<ObjectSettings>;
    return typeof sources === 'string' ? sources : undefined;
  } catch {
    return undefined;
  }
}

async function removeImage(into: string, uuid: string): Promise<void> {
  for (const ending of ['ta', 'elf']) await rm(join(imageFolder(into), `${uuid}.${ending}`), { force: true });
}
