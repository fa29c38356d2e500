import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { absentFiles } from '../../src/debian/absent-files.js';
import { debianSource } from '../../src/debian/debian-source.js';
import { sourceOfLists, sourcesOfLines, sourcesOfStanzas } from '../../src/debian/source-list.js';

describe("the machine's sources of Debian packages", () => {
  it('are the stanzas of whole suites', () => {
    const stanzas = [
      'Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n',
      '# a remark\nTypes: deb-src\nURIs: http://mirror.example/src\nSuites: bookworm\nComponents: main\n',
      'Enabled: no\nTypes: deb\nURIs: http://mirror.example/off\nSuites: bookworm\nComponents: main\n',
      'Types: deb\n# why\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n' +
        'Components: main contrib\nSigned-By: /usr/share/keyrings/x.gpg\n',
    ].join('\n');
    expect(sourcesOfStanzas(stanzas)).toEqual([
      { uris: 'http://mirror.example/debian', signedBy: '/usr/share/keyrings/x.gpg' },
    ]);
    expect(sourcesOfStanzas('')).toEqual([]);
  });

  it('keep a key embedded in the stanza', () => {
    const stanza = 'Types: deb\nURIs: http://m.example\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n abc\n';
    expect(sourcesOfStanzas(stanza)[0]?.signedBy).toBe('\n -----BEGIN\n abc');
  });

  it('are the lines of whole suites', () => {
    const lines = [
      '# deb http://mirror.example/no bookworm main',
      'deb-src http://mirror.example/src bookworm main',
      'deb http://mirror.example/security bookworm-security main',
      'deb http://mirror.example/other stable contrib',
      'deb http://vendor.example/node nodistro main',
      'deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm contrib main',
    ].join('\n');
    expect(sourcesOfLines(lines)).toEqual([{ uris: 'http://mirror.example/debian', signedBy: '/k.gpg' }]);
    expect(sourcesOfLines('deb http://mirror.example/debian bookworm main')[0]?.signedBy).toBeUndefined();
  });
});

describe("Debian's archive, as a machine knows it", () => {
  let root: string;
  let folders: { readonly etc: string; readonly share: string };
  const put = async (path: string, text: string) => {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), text);
  };

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'normalworld-'));
    folders = { etc: join(root, 'etc'), share: join(root, 'share') };
    await put('share/keyrings/debian-archive-keyring.gpg', 'keys');
  });
  afterEach(() => rm(root, { recursive: true }));

  it("is the machine's own source on Debian, whatever other vendors call their suites", async () => {
    await put('etc/os-release', 'NAME=x\nID=debian\n');
    // The first of all, with a suite of Debian's name and a key of its own, as some vendors have it.
    await put(
      'etc/apt/sources.list.d/a-vendor.list',
      'deb [signed-by=/usr/share/keyrings/vendor.gpg] https://apt.vendor.example bookworm main\n',
    );
    await put('etc/apt/sources.list.d/b.list', 'deb https://unsigned.example/packages bookworm main\n');
    await put(
      'etc/apt/sources.list.d/debian.sources',
      'Types: deb\nURIs: http://mirror.example/debian/\nSuites: bookworm\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n',
    );
    expect((await debianSource({}, folders)).uri).toBe('http://mirror.example/debian');
  });

  it("is not another vendor's archive, even if that is the only one", async () => {
    await put('etc/apt/sources.list.d/a.list', 'deb [signed-by=/k.gpg] https://apt.vendor.example bookworm main\n');
    expect(await sourceOfLists(join(root, 'etc/apt'))).toBeUndefined();
  });

  it("is found through apt's data on Ubuntu, not in Ubuntu's sources", async () => {
    await put('etc/os-release', 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n');
    await put(
      'etc/apt/sources.list.d/ubuntu.sources',
      'Types: deb\nURIs: http://archive.example/ubuntu/\nSuites: noble\nComponents: main\n',
    );
    await expect(debianSource({}, folders)).rejects.toThrow('apt-get install python-apt-common');
    await put('share/python-apt/templates/Debian.info', 'Suite: sid\nBaseURI: https://archive.example/debian/\n');
    expect(await debianSource({}, folders)).toEqual({
      uri: 'https://archive.example/debian',
      keyring: join(root, 'share/keyrings/debian-archive-keyring.gpg'),
    });
  });

  it('is taken from the environment first', async () => {
    const given = {
      NORMALWORLD_DEBIAN: 'http://given.example/debian/',
      NORMALWORLD_DEBIAN_KEYRING: join(root, 'share/keyrings/debian-archive-keyring.gpg'),
    };
    expect((await debianSource(given, folders)).uri).toBe('http://given.example/debian');
    await expect(debianSource({ NORMALWORLD_DEBIAN: 'ftp://x' }, folders)).rejects.toThrow('expected http://');
    await expect(debianSource({ ...given, NORMALWORLD_DEBIAN_KEYRING: '/nosuch' }, folders)).rejects.toThrow('/nosuch');
  });

  it('says which keys are missing', async () => {
    await rm(join(root, 'share/keyrings'), { recursive: true });
    await expect(debianSource({ NORMALWORLD_DEBIAN: 'http://given.example' }, folders)).rejects.toThrow(
      'apt-get install debian-archive-keyring',
    );
  });
});

describe('a package that an archive lists and does not have', () => {
  it('is recognised by its missing files, and not confused with other failures', () => {
    const said =
      'Command failed: apt-get source optee-os\n' +
      'E: Failed to fetch http://m.example/pool/optee-os_4.5.0-2.dsc  404  Not Found [IP: 192.0.2.1 80]\n' +
      'E: Failed to fetch http://m.example/pool/optee-os_4.5.0.orig.tar.gz  Connection timed out\n' +
      'E: Failed to fetch http://m.example/pool/optee-os_4.5.0-2.debian.tar.xz  404  Not Found\n' +
      'E: Failed to fetch some archives.\n';
    expect(absentFiles(said)).toEqual([
      'http://m.example/pool/optee-os_4.5.0-2.dsc',
      'http://m.example/pool/optee-os_4.5.0-2.debian.tar.xz',
    ]);
    expect(absentFiles('E: Unable to locate package optee-os')).toEqual([]);
  });
});
