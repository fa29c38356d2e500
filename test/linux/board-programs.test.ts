import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let app: string;
beforeAll(async () => {
  // The list is of a program in JavaScript.
  const { dependencies } = (await import(join(root, 'linux/board/programs.js'))) as { dependencies: readonly string[] };
  app = mkdtempSync(join(tmpdir(), 'normalworld-guest-'));
  cpSync(join(root, 'package.json'), join(app, 'package.json'));
  cpSync(join(root, 'dist'), join(app, 'dist'), { recursive: true });
  for (const name of [...dependencies, '@koromix']) {
    const place = join(app, 'node_modules', name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), place);
  }
});
afterAll(() => rmSync(app, { recursive: true }));

describe('a guest that has only the dependencies of its programs', () => {
  it.each([
    [['supplicant', '--device', '/dev/null'], /\/dev\/null/],
    [['supplicant', '--help'], /Usage: normalworld supplicant/],
    [['top', '--help'], /Usage: normalworld top/],
  ])('runs normalworld %j', (args, says) => {
    const { stdout, stderr } = spawnSync(process.execPath, [join(app, 'dist/cli/main.js'), ...args], {
      encoding: 'utf8',
    });
    expect(stdout + stderr).toMatch(says);
    expect(stderr).not.toContain('ERR_MODULE_NOT_FOUND');
  });
});
