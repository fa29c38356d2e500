import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import type { Archive } from './archive.js';
import { unpackDeb } from './deb-file.js';
import { openArchive } from './open-archive.js';

/** An unpacked package. */
export interface UnpackedPackage {
  readonly name: string;
  readonly version: string;
}

/** A folder that is created from packages. */
export interface FetchedFolder {
  readonly path: string;
  /** A description for the user. */
  readonly what: string;
  readonly packages: readonly string[];
  /** Required files, relative to the folder. */
  readonly essential: readonly string[];
  /** Version of the folder's layout. A folder with an older version is created again. */
  readonly form: number;
  /** Create the folder from the unpacked packages. */
  arrange(unpacked: string, made: string): Promise<void>;
}

const manifestName = 'packages.json';

interface Manifest {
  readonly form: number;
  readonly suite: string;
  readonly packages: readonly UnpackedPackage[];
}

/**
 * The manifest of a folder; undefined if it was not created here. Older versions of this project wrote only the list of
 * packages.
 */
async function manifestOf(path: string): Promise<Manifest | readonly UnpackedPackage[] | undefined> {
  try {
    return JSON.parse(await readRegularText(join(path, manifestName))) as Manifest | readonly UnpackedPackage[];
  } catch {
    return undefined;
  }
}

/** The packages that a folder was created from; empty if it was not created here. */
export async function fetchedPackages(path: string): Promise<readonly UnpackedPackage[]> {
  const manifest = await manifestOf(path);
  if (manifest === undefined) return [];
  return 'form' in manifest ? manifest.packages : manifest;
}

/** Whether the folder exists in its current layout and from this suite. */
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
  /** Called with a description of each step. */
  say(step: string): void;
  /** Create the folders again from the newest packages, even if they exist. */
  readonly again?: boolean;
}

/**
 * Create folders from arm64 packages of a suite. Each folder is complete or absent, and replaces an older one. Existing
 * folders are left as they are; if all exist, the archive is not accessed.
 * @returns whether any folder was created.
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
  makeFolderSync(parent);
  const work = await mkdtemp(join(parent, '.fetch-'));
  try {
    const [unpacked, made] = [join(work, 'unpacked'), join(work, 'made')];
    await mkdir(unpacked);
    await mkdir(made);
    for (const name of folder.packages) await unpackDeb(fileOf.get(name) ?? '', unpacked);
    await folder.arrange(unpacked, made);
    const packages = versions.map(({ name, version }) => ({ name, version }));
    const manifest: Manifest = { form: folder.form, suite, packages };
    writeWholeSync(join(made, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(folder.path, { recursive: true, force: true });
    await rename(made, folder.path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Download arm64 packages of a suite and unpack all of them into one folder.
 * @param names packages; a name that starts with `^` is a regular expression, which selects the newest match.
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
