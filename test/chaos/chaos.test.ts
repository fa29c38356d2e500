import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const program = resolve(import.meta.dirname, '../../chaos/main.js');
// 40 seconds, and what the last round takes on a machine that is busy; the limit only ends what hangs.
const chaos = (...args: string[]) =>
  spawnSync(process.execPath, ['--expose-gc', program, '--quiet', ...args], { encoding: 'utf8', timeout: 280_000 });

describe('chaos', () => {
  it('finds nothing in a bounded time', { timeout: 300_000 }, () => {
    const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
    const { status, stdout, stderr } = chaos('--seconds', process.env.CHAOS_SECONDS ?? '40', '--seed', String(seed));
    expect(status, `npm run chaos -- --seed ${seed}\n${stdout}\n${stderr}`).toBe(0);
    // Each kind of round was there, and faults did strike.
    expect(stdout).toMatch(/\d+ {2}rounds: simulated/);
    expect(stdout).toMatch(/\d+ {2}rounds: served/);
    expect(stdout).toMatch(/\d+ {2}faults: /);
  });

  it('can be run again in one process, although its folder of temporary files is gone', async () => {
    const { privateTemporaryFolder } = (await import(resolve(program, '../invariants.js'))) as {
      privateTemporaryFolder(): { readonly folder: string; remove(): void };
    };
    const before = tmpdir();
    for (let run = 0; run < 2; run++) {
      const { folder, remove } = privateTemporaryFolder();
      expect([tmpdir(), existsSync(folder)]).toEqual([folder, true]);
      remove();
      expect([tmpdir(), existsSync(folder)]).toEqual([before, false]);
    }
  });

  it.each([
    ['--seconds', '0'],
    ['--seconds', 'x'],
    ['--seed', '0.5'],
    ['--world', 'flat'],
  ])('refuses %s %s', (...args) => {
    const { status, stderr } = chaos(...args);
    expect(status).toBe(2);
    expect(stderr).toContain('usage: npm run chaos');
  });
});
