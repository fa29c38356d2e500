import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { normalworldProgram } from '../../src/cli/program.js';
import { OsTestCommand, osTest } from '../support/optee-test-applications.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

const program = await normalworldProgram();
const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 50_000 });

describe('--call-limit', () => {
  const command = (...words: string[]) =>
    words.reduce(
      (found: Command | undefined, word) => found?.commands.find((inner) => inner.name() === word),
      program as Command | undefined,
    );

  it.each([
    ['optee info', 60_000],
    ['optee ta list', 60_000],
    ['optee invoke', 60_000],
    ['exec', undefined],
    ['serve', undefined],
    ['xtest', undefined],
  ])('is an option of %s, by default of %s ms', (name, ms) => {
    const option = command(...name.split(' '))?.options.find(({ long }) => long === '--call-limit');
    expect([option?.long, option?.defaultValue]).toEqual(['--call-limit', ms]);
  });

  it.each(['0', '0s', '30', '-1s', 'forever', '1us', '10 days', ''])('refuses %j', (text) => {
    const { status, stderr } = run('serve', '--simulated', '--call-limit', text);
    expect(stderr).toMatch(
      /^error: option '--call-limit <time>' argument '.*' is invalid\. Allowed are a time with its unit/,
    );
    expect(status).toBe(2);
  });

  it('is refused for a board', () => {
    const { status, stderr } = run('exec', '--socket', 's', '--call-limit', '1s', '--', 'true');
    expect(stderr).toBe('normalworld: --call-limit is for a new TEE: --socket uses a running one\n');
    expect(status).toBe(2);
  });

  it.skipIf(whyNot !== undefined)(
    onRealOptee('ends a command whose call hangs, and says where it hangs'),
    { timeout: 60_000 },
    () => {
      const hour = 'value.input=3600000';
      // Enough to load the application.
      const limit = ['--call-limit', '8s'];
      const { status, stderr, signal } = run('optee', 'invoke', osTest, String(OsTestCommand.wait), hour, ...limit);
      expect(signal).toBeNull();
      expect(stderr).toMatch(/^normalworld: client 1: its invoke of \S+ (waits for|is in secure world)/);
      expect(stderr).toMatch(
        /invoking command \d+ of .*: it did not return within 8000 ms \(.*: its invoke .*\): TEEC_ERROR_TIMEOUT/,
      );
      expect(stderr).toMatch(/use --call-limit for a longer limit/);
      expect(status).toBe(1);
    },
  );
});
