import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openArchive } from './open-archive.js';

const run = promisify(execFile);

/**
 * Download a source package of a suite and unpack it with its patches.
 * @returns its folder, which is inside `into`. @throws AbsentFilesError, or Error with the message of apt or
 * dpkg-source.
 */
export async function unpackSource(suite: string, name: string, into: string): Promise<string> {
  await using archive = await openArchive(suite, 'arm64', 'deb-src');
  const files = await mkdtemp(join(tmpdir(), 'normalworld-source-'));
  try {
    const description = await archive.downloadSource(name, files);
    const folder = join(into, name);
    // The files were verified by the archive's signature, so the maintainer's key is not needed.
    await run('dpkg-source', ['--no-check', '--extract', description, folder], { maxBuffer: 1 << 26 }).catch(
      (error: NodeJS.ErrnoException) => {
        throw error.code === 'ENOENT'
          ? new Error('dpkg-source is missing: apt-get install dpkg-dev', { cause: error })
          : error;
      },
    );
    return folder;
  } finally {
    await rm(files, { recursive: true, force: true });
  }
}
