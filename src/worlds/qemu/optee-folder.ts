import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { type UnpackedPackage, unpackPackages } from './debian-packages.js';

/** The Debian suite of the fetched OP-TEE: it has OP-TEE OS 4.5.0 for QEMU. */
export const opteeSuite = 'trixie';
const packages = ['optee-os', 'optee-os-dev', 'optee-test-qemu'] as const;
const platform = 'vexpress-qemu_armv8a';

/** A folder with an OP-TEE OS and trusted applications for it, as `fetchOptee` makes it. */
export interface OpteeFolder {
  readonly path: string;
  /** OP-TEE's image. */
  readonly image: string;
  /** Its build configuration (conf.mk). */
  readonly configuration: string;
  /** Signed trusted applications, `<uuid>.ta`. */
  readonly trustedApplications: string;
}

/** The folder of this machine: NORMALWORLD_OPTEE, or normalworld/optee in the user's cache. It may not exist (yet). */
export function opteeFolder(environment: NodeJS.ProcessEnv = process.env): OpteeFolder {
  return folderAt(environment.NORMALWORLD_OPTEE || join(cacheFolder(environment), 'optee'));
}

/** Where everything is that was fetched or built: normalworld in the user's cache. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'normalworld');
}

export function folderAt(path: string): OpteeFolder {
  return {
    path,
    image: join(path, 'tee-pager_v2.bin'),
    configuration: join(path, 'conf.mk'),
    trustedApplications: join(path, 'ta'),
  };
}

const manifestName = 'packages.json';

/** What packages the folder was made of; empty when it was not made by `fetchOptee`. */
export async function fetchedPackages(folder: OpteeFolder): Promise<UnpackedPackage[]> {
  try {
    return JSON.parse(await readFile(join(folder.path, manifestName), 'utf8')) as UnpackedPackage[];
  } catch {
    return [];
  }
}

/**
 * Fill the folder from Debian's packages. It is there as a whole or not at all, and replaces an older one.
 * @param say told each step, in words.
 * @throws Error with the words of apt or dpkg.
 */
export async function fetchOptee(folder: OpteeFolder, say: (step: string) => void, suite = opteeSuite): Promise<void> {
  const parent = dirname(folder.path);
  await mkdir(parent, { recursive: true });
  const work = await mkdtemp(join(parent, '.optee-'));
  try {
    const unpacked = join(work, 'unpacked');
    await mkdir(unpacked);
    say(`downloading ${packages.join(', ')} (arm64) of Debian ${suite}`);
    const versions = await unpackPackages(suite, packages, unpacked);
    const made = folderAt(join(work, 'optee'));
    await mkdir(made.trustedApplications, { recursive: true });
    await cp(join(unpacked, `usr/lib/optee/${platform}/tee-pager_v2.bin`), made.image);
    const development = join(unpacked, `usr/lib/optee-os-dev/${platform}`);
    await cp(join(development, 'host_include/conf.mk'), made.configuration);
    for (const source of [join(development, 'ta'), join(unpacked, 'usr/lib/optee_armtz')])
      for (const name of await readdir(source))
        if (name.endsWith('.ta')) await cp(join(source, name), join(made.trustedApplications, name));
    await writeFile(join(made.path, manifestName), `${JSON.stringify(versions, null, 2)}\n`);
    await rm(folder.path, { recursive: true, force: true });
    await rename(made.path, folder.path);
    for (const { name, version } of versions) say(`unpacked ${name} ${version}`);
    say(`OP-TEE is in ${folder.path}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
