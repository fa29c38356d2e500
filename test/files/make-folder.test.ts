import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeFolderSync } from '../../src/files/make-folder.js';

const main = resolve(import.meta.dirname, '../../dist/cli/main.js');

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'normalworld-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

it('a folder is created with its missing parents, and the topmost is returned', () => {
  const [topmost, folder] = [join(scratch, 'a'), join(scratch, 'a', 'b', 'c')];
  expect(makeFolderSync(folder)).toBe(topmost);
  expect(statSync(folder).isDirectory()).toBe(true);
  expect(makeFolderSync(folder)).toBe(undefined);
});

it('a folder that cannot be created is an error that names the place', () => {
  writeFileSync(join(scratch, 'file'), '');
  symlinkSync('absent', join(scratch, 'link'));
  expect(() => makeFolderSync(join(scratch, 'file', 'b'))).toThrow(/^ENOTDIR: .*file/);
  expect(() => makeFolderSync(join(scratch, 'file'))).toThrow(/^EEXIST: .*file is not a folder/);
  expect(() => makeFolderSync(join(scratch, 'link', 'b'))).toThrow(`${join(scratch, 'link')} is a symbolic link`);
  expect(() => makeFolderSync('/proc/absent/b')).toThrow("ENOENT: no such file or directory, mkdir '/proc/absent'");
});

it.each([
  ['fuzz', 'driver', '--execs', '1', '--folder', '/proc/absent/b'],
  [
    'explore',
    '--queue',
    'patch-v6',
    '--threads',
    '2',
    '--reservations',
    '1',
    '--callers',
    'N,S,S',
    '--traces',
    '/proc/absent/b',
  ],
  ['ta', 'new', 'adder', '--folder', '/proc/absent/b'],
])('%s %s ends where no folder can be created', { timeout: 60_000 }, (...args) => {
  const { status, signal, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    timeout: 50_000,
  });
  expect(`${signal} ${stderr}`).toMatch(/^null .*mkdir '\/proc\/absent'/s);
  expect(status).not.toBe(0);
});
