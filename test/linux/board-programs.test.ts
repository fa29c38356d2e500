import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let app: string;
beforeAll(async () => {
  // The list is of a program in JavaScript.
  const { dependencies } = (await import(join(root, 'linux/board/programs.js'))) as { dependencies: readonly string[] };
  app = mkdtempSync(join(tmpdir(), 'normalworld-guest-'));
  mkdirSync(join(app, 'node_modules'));
  for (const name of ['package.json', 'dist', ...[...dependencies, '@koromix'].map((each) => `node_modules/${each}`)])
    symlinkSync(join(root, name), join(app, name));
});
afterAll(() => rmSync(app, { recursive: true }));

describe('a guest that has only the dependencies of its programs', () => {
  it.each([
    [['supplicant', '--device', '/dev/null'], /\/dev\/null/],
    [['supplicant', '--help'], /Usage: normalworld supplicant/],
    [['top', '--help'], /Usage: normalworld top/],
  ])('runs normalworld %j', (args, says) => {
    // Modules are looked for beside the links, not beside what they point to.
    const flags = ['--preserve-symlinks', '--preserve-symlinks-main'];
    const { stdout, stderr } = spawnSync(process.execPath, [...flags, join(app, 'dist/cli/main.js'), ...args], {
      encoding: 'utf8',
    });
    expect(stdout + stderr).toMatch(says);
    expect(stderr).not.toContain('ERR_MODULE_NOT_FOUND');
  });
});
