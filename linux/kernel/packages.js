import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackPackages } from '../../dist/debian/fetch-folders.js';
import { cacheFolder } from '../../dist/worlds/qemu/optee-folder.js';

/**
 * Debian's arm64 kernels that can be booted here: the suite, and patterns of the packages with the kernel, its modules
 * and the files for building modules. The newest matching package is used.
 */
const kernels = {
  6.12: {
    suite: 'trixie',
    image: ['^linux-image-6\\.12\\.[0-9]+\\+deb13-arm64$'],
    headers: '^linux-headers-6\\.12\\.[0-9]+\\+deb13-arm64$',
    source: 'linux-source-6.12',
  },
  7.2: {
    suite: 'sid',
    image: ['binary', 'modules'].map((part) => `^linux-${part}-7\\.2\\.[0-9]+\\+deb14-arm64$`),
    headers: '^linux-headers-7\\.2\\.[0-9]+\\+deb14-arm64$',
    source: 'linux-source-7.2',
  },
};

export const kernelVersions = Object.keys(kernels);

/**
 * An unpacked kernel.
 * @typedef {object} Kernel
 * @property {string} version "6.12"
 * @property {string} release the output of `uname -r`: "6.12.117+deb13-arm64"
 * @property {string} folder the folder with everything of this kernel
 * @property {string} image the compressed or plain kernel image
 * @property {string} modules the folder `kernel` of its modules
 */

/** Unpack packages into a folder, unless exactly these were unpacked there before. */
export async function unpackOnce(suite, patterns, folder, sayBefore) {
  const complete = join(folder, 'complete');
  const wanted = JSON.stringify([suite, patterns]);
  if (existsSync(complete) && readFileSync(complete, 'utf8') === wanted) return;
  sayBefore();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await unpackPackages(suite, patterns, folder);
  writeFileSync(complete, wanted);
}

/**
 * @param {string} version one of `kernelVersions`.
 * @param {(text: string) => void} say
 * @returns {Promise<Kernel>}
 * @throws Error if there is no such kernel, or with apt's message.
 */
export async function fetchKernel(version, say) {
  const { suite, image } = packagesOf(version);
  const folder = join(kernelsFolder(), version);
  const unpacked = join(folder, 'image');
  await unpackOnce(suite, image, unpacked, () => say(`downloading Debian's Linux ${version} for arm64 (about 100 MB)`));
  const [release] = readdirSync(join(unpacked, 'usr/lib/modules'));
  const places = [join(unpacked, 'boot', `vmlinuz-${release}`), join(unpacked, 'usr/lib/modules', release, 'vmlinuz')];
  const found = places.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`no kernel image in the packages of Linux ${release}`);
  return { version, release, folder, image: found, modules: join(unpacked, 'usr/lib/modules', release, 'kernel') };
}

/** The folder for kernels and other files of Linux's side. */
export function kernelsFolder() {
  return join(cacheFolder(), 'linux');
}

/** @throws Error if there is no such kernel. */
export function packagesOf(version) {
  const found = kernels[version];
  if (found === undefined) throw new Error(`no kernel "${version}"; there are ${kernelVersions.join(' and ')}`);
  return found;
}
