import { spawnSync } from 'node:child_process';
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
