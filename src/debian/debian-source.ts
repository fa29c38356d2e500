import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readRegularText } from '../files/read-regular-file.js';
import { type DebianSource, sourceOfLists } from './source-list.js';

/** Folders with the machine's configuration of Debian's archive. */
export interface MachineFolders {
  /** /etc */
  readonly etc: string;
  /** /usr/share */
  readonly share: string;
}

const machine: MachineFolders = { etc: '/etc', share: '/usr/share' };
/** A source with a file of keys. */
export interface SignedSource {
  readonly uri: string;
  /** A file of public keys in a format that gpgv reads. */
  readonly keyring: string;
}

/**
 * The archive for Debian packages and its keys: from NORMALWORLD_DEBIAN (a URL), from the machine's own sources on
 * Debian, or the archive's URL in tools of other distributions.
 * @throws Error saying what to install or to set.
 */
export async function debianSource(
  environment: NodeJS.ProcessEnv = process.env,
  { etc, share }: MachineFolders = machine,
): Promise<SignedSource> {
  const given = environment.NORMALWORLD_DEBIAN;
  const release = await readRegularText(join(etc, 'os-release')).catch(() => '');
  const isDebian = /^ID="?debian"?$/m.test(release);
  const listed = isDebian ? await sourceOfLists(join(etc, 'apt')) : undefined;
  const uri = given || listed?.uris || (await knownAddress(share));
  if (uri === undefined)
    throw new Error(
      "OP-TEE comes from Debian's archive, whose address this machine does not know: " +
        'apt-get install python-apt-common (any distribution with apt has it), ' +
        'or give the address of a mirror: NORMALWORLD_DEBIAN=https://.../debian',
    );
  if (!/^(?:https?|file):\/\//.test(uri))
    throw new Error(`the address of Debian's archive is "${uri}": expected http://, https:// or file://`);
  return { uri: uri.replace(/\/+$/, ''), keyring: keyringOf(given ? undefined : listed, environment, share) };
}

/** The archive's URL in tools of distributions that do not package OP-TEE: apt's Python library and debootstrap. */
async function knownAddress(share: string): Promise<string | undefined> {
  const places: readonly (readonly [file: string, address: RegExp])[] = [
    ['python-apt/templates/Debian.info', /^BaseURI:\s*(https?:\/\/\S+)/m],
    ['debootstrap/scripts/sid', /^\s*default_mirror\s+"?(https?:\/\/\S*\bdebian\/?)"?\s*$/m],
  ];
  for (const [file, address] of places) {
    const found = address.exec(await readRegularText(join(share, file)).catch(() => ''))?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

function keyringOf(source: DebianSource | undefined, environment: NodeJS.ProcessEnv, share: string): string {
  const given = environment.NORMALWORLD_DEBIAN_KEYRING;
  const signedBy = source?.signedBy?.trim();
  const candidates = [
    ...(given ? [given] : []),
    ...(signedBy?.startsWith('/') ? signedBy.split(/[\s,]+/).slice(0, 1) : []),
    ...['gpg', 'pgp'].map((form) => join(share, `keyrings/debian-archive-keyring.${form}`)),
  ];
  const found = (given ? candidates.slice(0, 1) : candidates).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new Error(
    given
      ? `${given}, given by NORMALWORLD_DEBIAN_KEYRING, does not exist`
      : "the keys that Debian's packages are signed with are missing: apt-get install debian-archive-keyring, " +
          'or give the key file: NORMALWORLD_DEBIAN_KEYRING=...',
  );
}
