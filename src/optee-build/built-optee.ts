import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Arm64Root, arm64Root, arm64RootAt } from '../serve/arm64-root.js';
import { cacheFolder, folderAt, type OpteeFolder, opteeFolder, opteeSuite } from '../worlds/qemu/optee-folder.js';

/** What `build.json` of a built OP-TEE says. */
export interface BuildRecord {
  readonly name: string;
  readonly suite: string;
  /** Of the source package. */
  readonly version: string;
  /** What make was told. */
  readonly variables: readonly string[];
  /** When it was built, ISO 8601, and in how many seconds. */
  readonly built: string;
  readonly seconds: number;
}

/** An OP-TEE that was built here. */
export interface BuiltOptee extends BuildRecord {
  readonly folder: OpteeFolder;
}

export const recordName = 'build.json';

export function buildsFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(cacheFolder(environment), 'builds');
}

/** Every OP-TEE that was built, by name. */
export async function builtOptees(folder = buildsFolder()): Promise<BuiltOptee[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => !name.startsWith('.')).sort();
  const found = await Promise.all(names.map((name) => builtOptee(name, folder)));
  return found.filter((each) => each !== undefined);
}

/** The OP-TEE of that name, if it was built. */
export async function builtOptee(name: string, folder = buildsFolder()): Promise<BuiltOptee | undefined> {
  if (name === '' || name.includes('/') || name.startsWith('.')) return undefined;
  const path = join(folder, name);
  const text = await readFile(join(path, recordName), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : { ...(JSON.parse(text) as BuildRecord), folder: folderAt(path) };
}

/** What arm64 clients need that were built for the OP-TEE of that suite. */
export function clientsOf(suite: string): Arm64Root {
  return suite === opteeSuite ? arm64Root() : arm64RootAt(join(cacheFolder(), `arm64-${suite}`));
}

/** The name by which `--optee` means the fetched one. */
export const fetchedName = 'fetched';

/** An OP-TEE as `--optee` names it. */
export interface NamedOptee {
  readonly image: string;
  /** Its own applications; undefined for an image that came alone. */
  readonly trustedApplications: string | undefined;
  /** What its clients need that are of the same age. */
  readonly clients: Arm64Root;
}

/**
 * The OP-TEE that is meant by the name of one that was built or fetched, or by the path of an image. A file wins over a name.
 */
export async function opteeNamed(nameOrFile: string | undefined): Promise<NamedOptee> {
  const fetched = opteeFolder();
  if (nameOrFile === undefined || (nameOrFile === fetchedName && !existsSync(nameOrFile)))
    return { image: fetched.image, trustedApplications: fetched.trustedApplications, clients: arm64Root() };
  const built = existsSync(nameOrFile) ? undefined : await builtOptee(nameOrFile);
  if (built === undefined) return { image: nameOrFile, trustedApplications: undefined, clients: arm64Root() };
  const { image, trustedApplications } = built.folder;
  return { image, trustedApplications, clients: clientsOf(built.suite) };
}
