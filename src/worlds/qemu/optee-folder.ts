import { cp, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { FetchedFolder } from '../../debian/fetch-folders.js';
import { makeFolderSync } from '../../files/make-folder.js';

/** The Debian suite of the fetched OP-TEE. It has OP-TEE OS 4.5.0 for QEMU. */
export const opteeSuite = 'trixie';
const packages = ['optee-os', 'optee-os-dev', 'optee-test-qemu', 'optee-client-dev', 'libteec2'] as const;
const platform = 'vexpress-qemu_armv8a';

/** A folder with an OP-TEE OS, trusted applications for it, and what is needed to build others. */
export interface OpteeFolder {
  readonly path: string;
  /** OP-TEE's image. */
  readonly image: string;
  /** Its build configuration (conf.mk). */
  readonly configuration: string;
  /** Signed trusted applications, `<uuid>.ta`. */
  readonly trustedApplications: string;
  /** OP-TEE's TA dev kit for building trusted applications: headers, libraries, makefiles, keys, scripts. */
  readonly kit: string;
  /** For building clients: `include`, and a folder of libraries for each architecture. */
  readonly client: string;
}

/** The default folder: NORMALWORLD_OPTEE, or normalworld/optee in the user's cache. It may not exist. */
export function opteeFolder(environment: NodeJS.ProcessEnv = process.env): OpteeFolder {
  return folderAt(environment.NORMALWORLD_OPTEE || join(cacheFolder(environment), 'optee'));
}

/** The folder of everything fetched or built: normalworld in the user's cache. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'normalworld');
}

export function folderAt(path: string): OpteeFolder {
  return {
    path,
    image: join(path, 'tee-pager_v2.bin'),
    configuration: join(path, 'conf.mk'),
    trustedApplications: join(path, 'ta'),
    kit: join(path, 'ta_dev_kit'),
    client: join(path, 'client'),
  };
}

/** The contents of the folder, and the Debian packages that it is made of. */
export function fetchedOptee({ path }: OpteeFolder): FetchedFolder {
  return { path, what: 'OP-TEE', packages, essential, form: 2, arrange };
}

/** Files that distinguish a complete folder from an unfinished copy. */
const essential = ['tee-pager_v2.bin', 'conf.mk', 'ta', 'ta_dev_kit/mk/ta_dev_kit.mk', 'client/include'] as const;
/** The parts of the dev kit, as OP-TEE's own build has them in `export-ta_arm64`. */
const kitParts = ['include', 'host_include', 'keys', 'lib', 'mk', 'scripts', 'src'] as const;
const triplet = 'aarch64-linux-gnu';

async function arrange(unpacked: string, made: string): Promise<void> {
  const folder = folderAt(made);
  makeFolderSync(folder.trustedApplications);
  await cp(join(unpacked, `usr/lib/optee/${platform}/tee-pager_v2.bin`), folder.image);
  const development = join(unpacked, `usr/lib/optee-os-dev/${platform}`);
  await cp(join(development, 'host_include/conf.mk'), folder.configuration);
  for (const source of [join(development, 'ta'), join(unpacked, 'usr/lib/optee_armtz')])
    for (const name of await readdir(source))
      if (name.endsWith('.ta')) await cp(join(source, name), join(folder.trustedApplications, name));
  // Links are copied as links: their targets are in the same folder.
  const how = { recursive: true, verbatimSymlinks: true };
  for (const part of kitParts) await cp(join(development, part), join(folder.kit, part), how);
  await cp(join(unpacked, 'usr/include'), join(folder.client, 'include'), how);
  for (const name of await readdir(join(unpacked, 'usr/lib', triplet)))
    if (name.startsWith('libteec.'))
      await cp(join(unpacked, 'usr/lib', triplet, name), join(folder.client, triplet, name), how);
}
