import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';
import { type ListedFile, listedFiles, stanzas } from './control-file.js';

/** What a suite says of itself, signed. */
export interface ReleaseFile {
  /** The files of its indices, relative to its folder. */
  readonly files: readonly ListedFile[];
  /** Whether indices are there under their hash as well, where no renewal of the archive can mix them up. */
  readonly byHash: boolean;
}

/**
 * Read a suite's InRelease as apt does: the signature of one known key, none that is bad, the right suite, not overdue.
 * @throws Error saying which of it does not hold.
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

/** The signed text, and only that. */
async function verified(inRelease: Uint8Array, keyring: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'normalworld-release-'));
  try {
    const [signed, text] = [join(folder, 'InRelease'), join(folder, 'Release')];
    await writeFile(signed, inRelease);
    const { status, said } = await gpgv([...['--status-fd', '1', '--keyring', keyring, '--output', text, signed]]);
    const has = (word: string) => new RegExp(`^\\[GNUPG:\\] ${word} `, 'm').test(status);
    // A suite is signed with several keys, of which an older machine may not know all.
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
