import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AptArchive } from './apt-archive.js';
import type { Archive, PackageArchitecture } from './archive.js';
import { debianSource } from './debian-source.js';
import { HttpArchive } from './http-archive.js';

const run = promisify(execFile);

/**
 * Open a suite: by apt where there is one, which knows the machine's proxies, else by Node's own means with gpgv's. The
 * machine's own package state is not touched, and nothing is installed.
 * @throws Error saying what is missing for it, or what of it is not as it should be.
 */
export async function openArchive(
  suite: string,
  architecture: PackageArchitecture,
  kind: 'deb' | 'deb-src' = 'deb',
): Promise<Archive> {
  const source = await debianSource();
  const hasApt = await run('apt-get', ['--version']).then(
    () => true,
    () => false,
  );
  return hasApt
    ? AptArchive.open(source, suite, architecture, kind)
    : HttpArchive.open(source, suite, architecture, kind);
}
