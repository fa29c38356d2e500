import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AptArchive } from '../../src/debian/apt-archive.js';
import type { Archive } from '../../src/debian/archive.js';
import { compareVersions } from '../../src/debian/control-file.js';
import { unpackDeb } from '../../src/debian/deb-file.js';
import { type FetchedFolder, fetchFolders } from '../../src/debian/fetch-folders.js';
import { HttpArchive } from '../../src/debian/http-archive.js';
import { SignedArchive } from './signed-archive.js';

const canSign = spawnSync('gpg', ['--version']).status === 0 && spawnSync('gpgv', ['--version']).status === 0;
const hasApt = spawnSync('apt-get', ['--version']).status === 0;
const small = { name: 'small', version: '1.0-1', files: { 'usr/lib/small/file': 'content\n' } };

let archive: SignedArchive;
let folder: string;
const others: SignedArchive[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-test-'));
  if (!canSign) return;
  archive = new SignedArchive();
  await archive.listen();
});
afterEach(() => {
  for (const each of [archive, ...others.splice(0)]) each?.[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const ways = {
  apt: (keyring = archive.keyring): Promise<Archive> =>
    AptArchive.open({ uri: archive.uri, keyring }, 'trixie', 'arm64', 'deb'),
  "Node's own means": (keyring = archive.keyring): Promise<Archive> =>
    HttpArchive.open({ uri: archive.uri, keyring }, 'trixie', 'arm64', 'deb'),
};

for (const [way, open] of Object.entries(ways))
  describe.skipIf(!canSign || (way === 'apt' && !hasApt))(`an archive of Debian packages, by ${way}`, () => {
    it('gives the newest version of a package, whole', async () => {
      archive.publish('trixie', [
        { ...small, version: '1.9' },
        { ...small, version: '1.10' },
        { ...small, version: '1.10~rc1' },
      ]);
      await using opened = await open();
      expect(await opened.describe(['small'])).toEqual([
        { name: 'small', version: '1.10', size: expect.any(Number), unpackedSize: 7 * 1024 },
      ]);
      expect(await opened.search(/^sm/)).toEqual(['small']);
      const [path = ''] = await opened.download(['small'], folder);
      const unpacked = join(folder, 'a/folder/that/is/new');
      await unpackDeb(path, unpacked);
      expect(readFileSync(join(unpacked, 'usr/lib/small/file'), 'utf8')).toBe('content\n');
      await expect(opened.describe(['small', 'nosuch'])).rejects.toThrow('no package nosuch');
    });

    it('refuses a package that was changed', async () => {
      archive.publish('trixie', [small]);
      const path = archive.path('pool/main/small_1.0-1_arm64.deb');
      const bytes = readFileSync(path);
      bytes[bytes.length - 9] = (bytes[bytes.length - 9] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      await using opened = await open();
      await expect(opened.download(['small'], folder)).rejects.toThrow(
        /not the file that the archive signed|Hash Sum mismatch/,
      );
    });

    it('refuses an index that was changed', async () => {
      archive.publish('trixie', [small]);
      for (const name of ['Packages', 'Packages.xz'])
        writeFileSync(archive.path(`dists/trixie/main/binary-arm64/${name}`), 'x');
      await expect(open()).rejects.toThrow();
    });

    it('refuses a release with an unknown signature or without one', async () => {
      archive.publish('trixie', [small]);
      const other = new SignedArchive();
      others.push(other);
      await expect(open(other.keyring)).rejects.toThrow();
      archive.put('dists/trixie/InRelease', readFileSync(archive.path('dists/trixie/Release')));
      await expect(open()).rejects.toThrow();
    });

    it('refuses a release that was changed after signing, belongs to another suite, or has expired', async () => {
      archive.publish('trixie', [small]);
      const signed = readFileSync(archive.path('dists/trixie/InRelease'), 'utf8');
      archive.put('dists/trixie/InRelease', signed.replace('Components: main', 'Components: Main'));
      await expect(open()).rejects.toThrow();
      archive.publish('sid', [small]);
      if (way !== 'apt') {
        archive.put('dists/trixie/InRelease', readFileSync(archive.path('dists/sid/InRelease')));
        await expect(open()).rejects.toThrow('is that of sid');
      }
      // What apt makes of it is set for the machine.
      if (way === 'apt') return;
      archive.publish('trixie', [small], `Valid-Until: ${new Date(Date.now() - 30_000).toUTCString()}\n`);
      await expect(open()).rejects.toThrow('valid until');
    });

    it('reports packages that do not exist', async () => {
      await expect(open()).rejects.toThrow(/404|no longer has|does not have a Release file/);
    });
  });

describe.skipIf(!canSign)('folders made of packages', () => {
  const environment = { ...process.env };
  afterEach(() => {
    process.env = { ...environment };
  });
  const wanted = (form = 1): FetchedFolder => ({
    path: join(folder, 'made'),
    what: 'a small thing',
    packages: ['small'],
    essential: ['file'],
    form,
    arrange: async (unpacked, made) => {
      await mkdir(made, { recursive: true });
      await cp(join(unpacked, 'usr/lib/small/file'), join(made, 'file'));
    },
  });

  it('are created once, and again if they are incomplete', async () => {
    process.env.NORMALWORLD_DEBIAN = archive.uri;
    process.env.NORMALWORLD_DEBIAN_KEYRING = archive.keyring;
    archive.publish('trixie', [small]);
    archive.publish('sid', [{ ...small, version: '2.0' }]);
    const said: string[] = [];
    const how = { say: (step: string) => said.push(step) };
    expect(await fetchFolders('trixie', [wanted()], how)).toBe(true);
    expect(said.join('\n')).toContain('small 1.0-1');
    archive.asked.length = 0;
    expect(await fetchFolders('trixie', [wanted()], how)).toBe(false);
    expect(archive.asked).toEqual([]);
    rmSync(join(folder, 'made/file'));
    expect(await fetchFolders('trixie', [wanted()], how)).toBe(true);
    expect(await fetchFolders('trixie', [wanted(2)], how)).toBe(true);
    expect(await fetchFolders('sid', [wanted(2)], how)).toBe(true);
    expect(await fetchFolders('sid', [wanted(2)], { ...how, again: true })).toBe(true);
  });

  it('stay as they were when the archive fails', async () => {
    process.env.NORMALWORLD_DEBIAN = archive.uri;
    process.env.NORMALWORLD_DEBIAN_KEYRING = archive.keyring;
    archive.publish('trixie', [small]);
    const how = { say: () => undefined };
    await fetchFolders('trixie', [wanted()], how);
    rmSync(archive.path('pool'), { recursive: true });
    await expect(fetchFolders('trixie', [wanted()], { ...how, again: true })).rejects.toThrow();
    expect(existsSync(join(folder, 'made/file'))).toBe(true);
  });
});

describe("Debian's versions", () => {
  it('are in the order of dpkg', () => {
    const ascending = ['1.0~rc1', '1.0', '1.0-1', '1.0-1+b1', '1.0-2', '1.0a', '1.9', '1.10', '1:0.5'];
    const shuffled = [...ascending].reverse();
    expect(shuffled.sort(compareVersions)).toEqual(ascending);
  });
});
