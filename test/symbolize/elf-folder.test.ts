import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

const compiler = 'aarch64-linux-gnu-gcc';
const withoutCompiler = spawnSync(compiler, ['--version']).status !== 0;

it.skipIf(withoutCompiler)(
  `knows the functions of an ELF file that was built anew${withoutCompiler ? ` (skipped: no ${compiler})` : ''}`,
  () => {
    const elf = join(folder, `${image}.elf`);
    const elves = new ElfFolders([folder]);
    const build = (name: string) => {
      const [source, built] = [join(folder, `${name}.c`), join(folder, `${name}.o`)];
      writeFileSync(source, `void ${name}(void) {}\n`);
      execFileSync(compiler, ['-nostdlib', '-Wl,-Ttext=0x1000', '-Wl,--entry=0', '-o', built, source]);
      copyFileSync(built, elf);
      return elves.framesAt({ address: 0x5000n, image, offset: 0x1000, returns: false }).map((each) => each.function);
    };
    expect([build('before'), build('after')]).toEqual([['before'], ['after']]);
  },
);
