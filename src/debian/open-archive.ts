import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AptArchive } from './apt-archive.js';
import type { Archive, PackageArchitecture } from './archive.js';
import { debianSource } from './debian-source.js';
import { HttpArchive } from './http-archive.js';

const run = promisify(execFile);

/**
 * Open a suite: with apt if it is installed, because it has the machine's proxy settings; else with Node and gpgv. The
 * machine's package state is not changed, and nothing is installed.
 * @throws Error saying what is missing, or what could not be verified.
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
