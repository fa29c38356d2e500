import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  absentFiles,
  machineSource,
  sourceOfLines,
  sourceOfStanzas,
} from '../../../src/worlds/qemu/debian-packages.js';

describe("the machine's source of Debian packages", () => {
  it('is the first stanza of whole suites', () => {
    const stanzas = [
      'Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n',
      '# a remark\nTypes: deb-src\nURIs: http://mirror.example/src\nSuites: bookworm\nComponents: main\n',
      'Enabled: no\nTypes: deb\nURIs: http://mirror.example/off\nSuites: bookworm\nComponents: main\n',
      'Types: deb\n# why\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n' +
        'Components: main contrib\nSigned-By: /usr/share/keyrings/x.gpg\n',
    ].join('\n');
    expect(sourceOfStanzas(stanzas)).toEqual({
      uris: 'http://mirror.example/debian',
      signedBy: '/usr/share/keyrings/x.gpg',
    });
    expect(sourceOfStanzas('')).toBeUndefined();
  });

  it('keeps a key that stands in the stanza itself', () => {
    const stanza = 'Types: deb\nURIs: http://m.example\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n abc\n';
    expect(sourceOfStanzas(stanza)?.signedBy).toBe('\n -----BEGIN\n abc');
  });

  it('is the first line of a whole suite', () => {
    const lines = [
      '# deb http://mirror.example/no bookworm main',
      'deb-src http://mirror.example/src bookworm main',
      'deb http://mirror.example/security bookworm-security main',
      'deb http://mirror.example/other stable contrib',
      'deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm contrib main',
    ].join('\n');
    expect(sourceOfLines(lines)).toEqual({ uris: 'http://mirror.example/debian', signedBy: '/k.gpg' });
    expect(sourceOfLines('deb http://mirror.example/debian bookworm main')?.signedBy).toBeUndefined();
  });

  it('is looked for only on a Debian', async () => {
    const etc = await mkdtemp(join(tmpdir(), 'normalworld-'));
    try {
      await writeFile(join(etc, 'os-release'), 'ID=arch\n');
      await expect(machineSource(etc)).rejects.toThrow('is no Debian');
      await writeFile(join(etc, 'os-release'), 'NAME=x\nID=debian\n');
      await expect(machineSource(etc)).rejects.toThrow('no source of Debian packages');
      await mkdir(join(etc, 'apt/sources.list.d'), { recursive: true });
      await writeFile(join(etc, 'apt/sources.list.d/b.list'), 'deb http://b.example sid main\n');
      await writeFile(join(etc, 'apt/sources.list.d/a.other'), 'deb http://a.example sid main\n');
      expect((await machineSource(etc)).uris).toBe('http://b.example');
      await writeFile(join(etc, 'apt/sources.list'), 'deb http://main.example sid main\n');
      expect((await machineSource(etc)).uris).toBe('http://main.example');
    } finally {
      await rm(etc, { recursive: true });
    }
  });
});

describe('a package that an archive lists and does not have', () => {
  it('is told by the files that are missing, and no other failure is taken for it', () => {
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
