import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unpackPackages } from '../worlds/qemu/debian-packages.js';
import { cacheFolder, opteeSuite } from '../worlds/qemu/optee-folder.js';

const packages = [
  ...['libc6', 'libssl3t64', 'zlib1g', 'libzstd1', 'libgcc-s1'],
  ...['libteec2', 'libckteec0t64', 'optee-test-qemu'],
] as const;

/** A folder with what arm64 clients of a TEE need under qemu-user: the C library, OP-TEE's client libraries, xtest. */
export interface Arm64Root {
  readonly path: string;
  /** OP-TEE's test suite. */
  readonly xtest: string;
  /** The TAs that it talks to. */
  readonly trustedApplications: string;
}

/** The folder of this machine: NORMALWORLD_ARM64, or normalworld/arm64 in the user's cache. It may not exist (yet). */
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

/**
 * Fill the folder from Debian's packages, unpacked and not installed. It is there as a whole or not at all.
 * @param say told each step, in words.
 */
export async function fetchArm64Root(root: Arm64Root, say: (step: string) => void, suite = opteeSuite): Promise<void> {
  const parent = dirname(root.path);
  await mkdir(parent, { recursive: true });
  const work = await mkdtemp(join(parent, '.arm64-'));
  try {
    const made = join(work, 'root');
    await mkdir(made);
    say(`downloading ${packages.join(', ')} (arm64) of Debian ${suite}`);
    await unpackPackages(suite, packages, made);
    // Programs name their loader in /lib, which Debian has as a link.
    await symlink('usr/lib', join(made, 'lib'));
    await rm(root.path, { recursive: true, force: true });
    await rename(made, root.path);
    say(`arm64 programs find their libraries in ${root.path}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
