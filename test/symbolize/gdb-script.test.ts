import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ElfFolders } from '../../src/symbolize/elf-folder.js';
import { GdbScript } from '../../src/symbolize/gdb-script.js';

const loaded = 'D/LD:  ldelf:176 ELF (5b9e0e40-2636-11e1-ad9e-0002a5d5c51b) at 0x4001e000';

describe('a gdb script', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'normalworld-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is named when it cannot be written at the start', () => {
    const path = join(folder, 'absent', 'a.gdb');
    expect(() => new GdbScript(path, 1234, new ElfFolders([], ''))).toThrow(`${path}: ENOENT`);
  });

  it('lets the console go on when it can no longer be written, and is written again when it can', async () => {
    const place = join(folder, 'place');
    const path = join(place, 'a.gdb');
    mkdirSync(place);
    const script = new GdbScript(path, 1234, new ElfFolders([], ''));
    rmSync(place, { recursive: true });
    const warned = once(process, 'warning');
    script.read(loaded);
    expect(String((await warned)[0])).toContain(`the gdb script is out of date: ${path}: ENOENT`);
    mkdirSync(place);
    script.read(loaded);
    expect(readFileSync(path, 'utf8')).toContain('5b9e0e40-2636-11e1-ad9e-0002a5d5c51b is at 0x4001e000');
  });
});
