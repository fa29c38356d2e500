import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';
import { type Arm64Root, arm64Root, arm64RootAt } from '../serve/arm64-root.js';
import { cacheFolder, folderAt, type OpteeFolder, opteeFolder, opteeSuite } from '../worlds/qemu/optee-folder.js';
import { buildSuites } from './build-options.js';

/** The content of a build's `build.json`. */
export interface BuildRecord {
  readonly name: string;
  readonly suite: string;
  /** Version of the source package. */
  readonly version: string;
  /** Variables on make's command line. */
  readonly variables: readonly string[];
  /** SHA-256 of the SCMI platform that was built into it; absent without one. */
  readonly scmiPlatform?: string;
  /** When it was built, ISO 8601, and how long it took, in seconds. */
  readonly built: string;
  readonly seconds: number;
}

/** A build of OP-TEE on this machine. */
export interface BuiltOptee extends BuildRecord {
  readonly folder: OpteeFolder;
}

export const recordName = 'build.json';

export function buildsFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(cacheFolder(environment), 'builds');
}

/** All builds of OP-TEE, by name. */
export async function builtOptees(folder = buildsFolder()): Promise<BuiltOptee[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => !name.startsWith('.')).sort();
  const found = await Promise.all(names.map((name) => builtOptee(name, folder)));
  return found.filter((each) => each !== undefined);
}

/** The build with this name, if it exists. */
export async function builtOptee(name: string, folder = buildsFolder()): Promise<BuiltOptee | undefined> {
  if (name === '' || name.includes('/') || name.startsWith('.')) return undefined;
  const path = join(folder, name);
  const text = await readRegularText(join(path, recordName)).catch(() => undefined);
  return text === undefined ? undefined : { ...(JSON.parse(text) as BuildRecord), folder: folderAt(path) };
}

/** The OP-TEE fetched from a suite's Debian packages; it may not exist. */
export function fetchedFolder(suite: string): OpteeFolder {
  return suite === opteeSuite ? opteeFolder() : folderAt(join(cacheFolder(), `optee-${suite}`));
}

/** Folder with arm64 clients for the OP-TEE of a suite. */
export function clientsOf(suite: string): Arm64Root {
  return suite === opteeSuite ? arm64Root() : arm64RootAt(join(cacheFolder(), `arm64-${suite}`));
}

/** The name of the OP-TEE from Debian's packages for `--optee`: `debian-trixie`. */
export const fetchedName = (suite: string) => `debian-${suite}`;

/** The OP-TEE selected with `--optee`. */
export interface NamedOptee {
  readonly image: string;
  /** Folder of its own applications; undefined for an image file. */
  readonly trustedApplications: string | undefined;
  /** The matching TA dev kit: its own, or that of its suite's packages. It may not exist. */
  readonly kit: string | undefined;
  /** Its folder; undefined for an image file. */
  readonly folder: string | undefined;
  /** Whether it exists. A fetched OP-TEE may not have been fetched yet. */
  readonly isThere: boolean;
  /** Folder with clients of the same version. */
  readonly clients: Arm64Root;
}

/**
 * The OP-TEE with the name of a build or of a fetched one, or with the path of an image. An existing file takes
 * precedence over a name.
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
