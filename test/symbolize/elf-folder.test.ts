import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ElfFolders } from '../../src/symbolize/elf-folder.js';

const image = '5b9e0e40-2636-11e1-ad9e-0002a5d5c51b';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'elves-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it.each<[string, (path: string) => void]>([
  ['a folder', (path) => mkdirSync(path)],
  ['a text', (path) => writeFileSync(path, 'no ELF file\n')],
  ['empty', (path) => writeFileSync(path, '')],
])('knows no function of an application whose ELF file is %s', (_, make) => {
  make(join(folder, `${image}.elf`));
  expect(new ElfFolders([folder]).framesAt({ address: 0x5234n, image, offset: 0x1234, returns: true })).toEqual([]);
});
