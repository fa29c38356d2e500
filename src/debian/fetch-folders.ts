import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';
import type { Archive } from './archive.js';
import { unpackDeb } from './deb-file.js';
import { openArchive } from './open-archive.js';

/** A package that was unpacked. */
export interface UnpackedPackage {
  readonly name: string;
  readonly version: string;
}

/** A folder that is made of packages. */
export interface FetchedFolder {
  readonly path: string;
  /** What it is, for people. */
  readonly what: string;
  readonly packages: readonly string[];
  /** Files that it is of no use without, relative to it. */
  readonly essential: readonly string[];
  /** What is made of the packages changes with versions of this project: a folder of an older one is made anew. */
  readonly form: number;
  /** Make the folder of what was unpacked. */
  arrange(unpacked: string, made: string): Promise<void>;
}

const manifestName = 'packages.json';

interface Manifest {
  readonly form: number;
  readonly suite: string;
  readonly packages: readonly UnpackedPackage[];
}

/** What a folder was made of; undefined when it was not made here. Older versions of this project wrote the list alone. */
async function manifestOf(path: string): Promise<Manifest | readonly UnpackedPackage[] | undefined> {
  try {
    return JSON.parse(await readRegularText(join(path, manifestName))) as Manifest | readonly UnpackedPackage[];
  } catch {
    return undefined;
  }
}

/** What packages a folder was made of; empty when it was not made here. */
export async function fetchedPackages(path: string): Promise<readonly UnpackedPackage[]> {
  const manifest = await manifestOf(path);
  if (manifest === undefined) return [];
  return 'form' in manifest ? manifest.packages : manifest;
}

/** Whether the folder is there as it would be made now, from that suite. */
export async function isFetched(folder: FetchedFolder, suite: string): Promise<boolean> {
  const manifest = await manifestOf(folder.path);
  if (manifest === undefined || !('form' in manifest)) return false;
  if (manifest.form !== folder.form || manifest.suite !== suite) return false;
  const names = new Set(manifest.packages.map(({ name }) => name));
  return (
    folder.packages.every((name) => names.has(name)) &&
    folder.essential.every((file) => existsSync(join(folder.path, file)))
  );
}

export interface FetchHow {
  /** Told each step, in words. */
  say(step: string): void;
  /** Make them although they are there, of the newest packages. */
  readonly again?: boolean;
}

/**
 * Fill folders from arm64 packages of a suite. Each is there as a whole or not at all, and replaces an older one; those that are
 * there are left alone, and when all are, nothing is asked of the archive.
 * @returns whether any was made.
 * @throws Error saying what is missing or wrong.
 */
export async function fetchFolders(suite: string, folders: readonly FetchedFolder[], how: FetchHow): Promise<boolean> {
  const wanted: FetchedFolder[] = [];
  for (const folder of folders) {
    if (!how.again && (await isFetched(folder, suite))) {
      const [first] = await fetchedPackages(folder.path);
      how.say(`${folder.what} is already there: ${folder.path} (${first?.name} ${first?.version})`);
    } else wanted.push(folder);
  }
  if (wanted.length === 0) return false;
  how.say(`asking Debian's archive for ${suite}`);
  await using archive = await openArchive(suite, 'arm64');
  const names = [...new Set(wanted.flatMap(({ packages }) => packages))];
  const packages = await archive.describe(names);
  const sum = (numbers: readonly number[]) => (numbers.reduce((a, b) => a + b, 0) / 1e6).toFixed(1);
  how.say(
    `downloading ${sum(packages.map(({ size }) => size))} MB: ${packages.map(({ name, version }) => `${name} ${version}`).join(', ')} ` +
      `(arm64, ${sum(packages.map(({ unpackedSize }) => unpackedSize))} MB unpacked)`,
  );
  const files = await mkdtemp(join(tmpdir(), 'normalworld-debs-'));
  try {
    const paths = await archive.download(names, files);
    const fileOf = new Map(names.map((name, index) => [name, paths[index] ?? '']));
    for (const folder of wanted) {
      const versions = packages.filter(({ name }) => folder.packages.includes(name));
      await make(folder, suite, fileOf, versions);
      how.say(`${folder.what} is in ${folder.path}`);
    }
    return true;
  } finally {
    await rm(files, { recursive: true, force: true });
  }
}

async function make(
  folder: FetchedFolder,
  suite: string,
  fileOf: ReadonlyMap<string, string>,
  versions: readonly UnpackedPackage[],
): Promise<void> {
  const parent = dirname(folder.path);
  await mkdir(parent, { recursive: true });
  const work = await mkdtemp(join(parent, '.fetch-'));
  try {
    const [unpacked, made] = [join(work, 'unpacked'), join(work, 'made')];
    await mkdir(unpacked);
    await mkdir(made);
    for (const name of folder.packages) await unpackDeb(fileOf.get(name) ?? '', unpacked);
    await folder.arrange(unpacked, made);
    const packages = versions.map(({ name, version }) => ({ name, version }));
    const manifest: Manifest = { form: folder.form, suite, packages };
    await writeFile(join(made, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(folder.path, { recursive: true, force: true });
    await rename(made, folder.path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Download arm64 packages of a suite and unpack them all into one folder.
 * @param names packages; one that starts with `^` is a pattern: the newest that matches is taken.
 */
export async function unpackPackages(
  suite: string,
  names: readonly string[],
  into: string,
): Promise<readonly UnpackedPackage[]> {
  await using archive = await openArchive(suite, 'arm64');
  const wanted: string[] = [];
  for (const name of names) wanted.push(name.startsWith('^') ? await newestMatching(archive, name) : name);
  const files = await mkdtemp(join(tmpdir(), 'normalworld-debs-'));
  try {
    for (const path of await archive.download(wanted, files)) await unpackDeb(path, into);
    return await archive.describe(wanted);
  } finally {
    await rm(files, { recursive: true, force: true });
  }
}

async function newestMatching(archive: Archive, pattern: string): Promise<string> {
  const newest = (await archive.search(new RegExp(pattern))).at(-1);
  if (newest === undefined) throw new Error(`no package ${pattern}`);
  return newest;
}
