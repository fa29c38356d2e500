import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeWholeSync } from '../../src/files/write-whole.js';

const built = new URL('../../dist/files/write-whole.js', import.meta.url).href;

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

it('a file that cannot be written completely keeps its content, and the error names it', () => {
  const path = join(scratch, 'file');
  writeFileSync(path, 'before');
  const script = `const { writeWholeSync } = await import(${JSON.stringify(built)});
    try { writeWholeSync(${JSON.stringify(path)}, Buffer.alloc(100_000)); } catch (error) { console.log(error.message); }`;
  // A limit for the size of files: the disk ends in the middle of a write.
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -f 8; exec "$0" --input-type=module -e "$1"', process.execPath, script],
    { encoding: 'utf8' },
  );
  expect(stdout + stderr).toMatch(/^\S+: EFBIG: file too large, write\n$/);
  expect(stdout.startsWith(`${path}: `)).toBe(true);
  expect(readFileSync(path, 'utf8')).toBe('before');
  expect(readdirSync(scratch)).toEqual(['file']);
});

it('a device is written directly, and named when it is full', () => {
  expect(() => writeWholeSync('/dev/full', 'text')).toThrow('/dev/full: ENOSPC: no space left on device, write');
});

it('a file keeps its permissions and the link that leads to it', () => {
  const [path, link] = [join(scratch, 'file'), join(scratch, 'link')];
  writeFileSync(path, 'before');
  chmodSync(path, 0o640);
  symlinkSync('file', link);
  writeWholeSync(link, ['af', Buffer.from('ter')]);
  expect(readFileSync(path, 'utf8')).toBe('after');
  expect(statSync(path).mode & 0o777).toBe(0o640);
  expect(readdirSync(scratch)).toEqual(['file', 'link']);
});
