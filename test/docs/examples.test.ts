import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
/** Inside the package, so that `normalworld` means this one. */
const folder = mkdtempSync(join(root, 'dist', 'examples-'));
afterAll(() => rmSync(folder, { recursive: true }));

it.each(readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.js')))('the example %s works', (name) => {
  const file = join(folder, name);
  writeFileSync(file, readFileSync(join(root, 'examples', name)));
  const args = name.endsWith('.test.js') ? ['--test', file] : [file];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(status, stdout + stderr).toBe(0);
});
