import { existsSync } from 'node:fs';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { FetchedFolder } from '../debian/fetch-folders.js';
import { cacheFolder } from '../worlds/qemu/optee-folder.js';

const packages = [
  ...['libc6', 'libssl3t64', 'zlib1g', 'libzstd1', 'libgcc-s1'],
  ...['libteec2', 'libckteec0t64', 'optee-test-qemu'],
] as const;

/** A folder with what arm64 clients need under qemu-user: the C library, OP-TEE's client libraries, xtest. */
export interface Arm64Root {
  readonly path: string;
  /** OP-TEE's test suite. */
  readonly xtest: string;
  /** The trusted applications of the test suite. */
  readonly trustedApplications: string;
}

/** The folder on this machine: NORMALWORLD_ARM64, or normalworld/arm64 in the user's cache. It may not exist yet. */
export function arm64Root(environment: NodeJS.ProcessEnv = process.env): Arm64Root {
  return arm64RootAt(environment.NORMALWORLD_ARM64 || join(cacheFolder(environment), 'arm64'));
}

export function arm64RootAt(path: string): Arm64Root {
  return {
    path,
    xtest: join(path, 'usr/bin/xtest'),
    trustedApplications: join(path, 'usr/lib/optee_armtz'),
  };
}

export function isComplete(root: Arm64Root): boolean {
  return existsSync(root.xtest) && existsSync(join(root.path, 'lib'));
}

/** How to create the folder: Debian packages are unpacked there, but not installed. */
export function fetchedArm64Root({ path }: Arm64Root): FetchedFolder {
  return {
    path,
    what: 'libraries for arm64 programs',
    packages,
    essential: ['usr/bin/xtest', 'lib'],
    form: 1,
    async arrange(unpacked, made) {
      await cp(unpacked, made, { recursive: true, verbatimSymlinks: true });
      // Programs name their loader in /lib, which is a symbolic link in Debian.
      await symlink('usr/lib', join(made, 'lib'));
    },
  };
}
