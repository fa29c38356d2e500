import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';
import { writeWholeSync } from '../files/write-whole.js';
import { type ListedFile, listedFiles, stanzas } from './control-file.js';

/** The verified content of a suite's release file. */
export interface ReleaseFile {
  /** The index files, relative to the suite's folder. */
  readonly files: readonly ListedFile[];
  /** Whether index files are also available under their hash, which is safe during an update of the archive. */
  readonly byHash: boolean;
}

/**
 * Read a suite's InRelease with the checks of apt: a signature by a known key, no bad signature, the right suite, not
 * expired.
 * @throws Error saying which check failed.
 */
export async function releaseFile(inRelease: Uint8Array, suite: string, keyring: string): Promise<ReleaseFile> {
  const text = await verified(inRelease, keyring);
  const [release] = stanzas(text);
  const field = (name: string) => release?.get(name) ?? '';
  if (![field('suite'), field('codename')].includes(suite))
    throw new Error(`the archive's file for the suite ${suite} is that of ${field('codename')} (${field('suite')})`);
  const until = Date.parse(field('valid-until'));
  if (until < Date.now())
    throw new Error(
      `the archive's file for the suite ${suite} was valid until ${field('valid-until')}: an old mirror, or this machine's clock is wrong`,
    );
  return { files: listedFiles(field('sha256')), byHash: field('acquire-by-hash') === 'yes' };
}

/** The signed part of the text. */
async function verified(inRelease: Uint8Array, keyring: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'normalworld-release-'));
  try {
    const [signed, text] = [join(folder, 'InRelease'), join(folder, 'Release')];
    writeWholeSync(signed, inRelease);
    const { status, said } = await gpgv([...['--status-fd', '1', '--keyring', keyring, '--output', text, signed]]);
    const has = (word: string) => new RegExp(`^\\[GNUPG:\\] ${word} `, 'm').test(status);
    // A suite has several signatures, and an older machine may not have all keys.
    if (!has('GOODSIG') || !has('VALIDSIG') || has('BADSIG'))
      throw new Error(
        `the archive's signature is invalid, or not made by one of the keys in ${keyring} ` +
          `(a newer debian-archive-keyring may have the key):\n${said.trim()}`,
      );
    return await readRegularText(text);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function gpgv(args: readonly string[]): Promise<{ readonly status: string; readonly said: string }> {
  return new Promise((resolve, reject) => {
    execFile('gpgv', args, (error, stdout, stderr) => {
      if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT')
        reject(new Error("gpgv, which checks the archive's signature, is missing: install gpgv (or gnupg)"));
      else resolve({ status: stdout, said: stderr });
    });
  });
}
