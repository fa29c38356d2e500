import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const planted = (...args: string[]) =>
  spawnSync(process.execPath, ['bench/planted/main.js', ...args], { cwd: root, encoding: 'utf8' });

describe('a defect that is planted in the messages of the simulated secure world', () => {
  it('is found, and nothing is found without it', { timeout: 240_000 }, () => {
    const names = ['thread', 'session', 'shared-memory', 'result'];
    const { stdout, stderr } = planted(...names, '--executions', '600', '--json');
    expect(stderr).toBe('');
    expect(JSON.parse(stdout).map(({ name, found }: { name: string; found: string }) => [name, found])).toEqual([
      ['thread', 'leak'],
      ['session', 'leak'],
      ['shared-memory', 'leak'],
      ['result', 'protocol'],
    ]);
  });

  it('must exist', () => {
    const { status, stderr } = planted('nothing');
    expect(status).toBe(2);
    expect(stderr).toMatch(/^usage: npm run fuzz:planted .*, of types, index/);
  });
});
