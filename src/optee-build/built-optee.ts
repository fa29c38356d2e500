import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';
import { type Arm64Root, arm64Root, arm64RootAt } from '../serve/arm64-root.js';
import { cacheFolder, folderAt, type OpteeFolder, opteeFolder, opteeSuite } from '../worlds/qemu/optee-folder.js';
import { buildSuites } from './build-options.js';

/** What `build.json` of a built OP-TEE says. */
export interface BuildRecord {
  readonly name: string;
  readonly suite: string;
  /** Of the source package. */
  readonly version: string;
  /** What make was told. */
  readonly variables: readonly string[];
  /** SHA-256 of the SCMI platform that was built into it; absent without one. */
  readonly scmiPlatform?: string;
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
  const text = await readRegularText(join(path, recordName)).catch(() => undefined);
  return text === undefined ? undefined : { ...(JSON.parse(text) as BuildRecord), folder: folderAt(path) };
}

/** The OP-TEE of Debian's packages of that suite, if it was fetched. */
export function fetchedFolder(suite: string): OpteeFolder {
  return suite === opteeSuite ? opteeFolder() : folderAt(join(cacheFolder(), `optee-${suite}`));
}

/** What arm64 clients need that were built for the OP-TEE of that suite. */
export function clientsOf(suite: string): Arm64Root {
  return suite === opteeSuite ? arm64Root() : arm64RootAt(join(cacheFolder(), `arm64-${suite}`));
}

/** The name by which `--optee` means the OP-TEE of Debian's packages: `debian-trixie`. */
export const fetchedName = (suite: string) => `debian-${suite}`;

/** An OP-TEE as `--optee` names it. */
export interface NamedOptee {
  readonly image: string;
  /** Its own applications; undefined for an image that came alone. */
  readonly trustedApplications: string | undefined;
  /** The TA dev kit whose key it takes: its own, or that of its suite's packages. It may not be there. */
  readonly kit: string | undefined;
  /** Its folder; undefined for an image that came alone. */
  readonly folder: string | undefined;
  /** Whether it is there: an image, or a build. What is fetched may not be, yet. */
  readonly isThere: boolean;
  /** What its clients need that are of the same age. */
  readonly clients: Arm64Root;
}

/**
 * The OP-TEE that is meant by the name of one that was built or fetched, or by the path of an image. A file wins over a name.
 */
export async function opteeNamed(nameOrFile: string | undefined): Promise<NamedOptee> {
  const alone = (image: string, isThere: boolean): NamedOptee => ({
    ...{ image, trustedApplications: undefined, kit: undefined, clients: arm64Root(), folder: undefined, isThere },
  });
  if (nameOrFile !== undefined && existsSync(nameOrFile)) return alone(nameOrFile, true);
  const name = nameOrFile ?? fetchedName(opteeSuite);
  const suite = buildSuites.find((suite) => name === fetchedName(suite));
  const found = suite === undefined ? await builtOptee(name) : { folder: fetchedFolder(suite), suite };
  if (found === undefined) return alone(name, false);
  const { image, trustedApplications, kit: own, path: folder } = found.folder;
  const kit = existsSync(own) ? own : fetchedFolder(found.suite).kit;
  return { image, trustedApplications, kit, clients: clientsOf(found.suite), folder, isThere: true };
}
