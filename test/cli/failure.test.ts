import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { tellFailure } from '../../src/cli/output/failure.js';
import { onRealOptee, whyNot } from '../worlds/qemu/real-optee.js';

/** Something that cannot be closed. */
const stuck = (why: string): AsyncDisposable => ({ [Symbol.asyncDispose]: () => Promise.reject(new Error(why)) });

async function failsWithin(depth: number): Promise<void> {
  await using _ = stuck(`closing ${depth}`);
  if (depth > 0) await failsWithin(depth - 1);
  else throw new RangeError('why it ended');
}

describe('a command that fails', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    process.exitCode = undefined;
  });
  const told = async (failing: Promise<unknown>) => {
    const lines: string[] = [];
    vi.spyOn(console, 'error').mockImplementation((line: string) => lines.push(line));
    await failing.catch((error: unknown) => tellFailure(error, 'a hint'));
    return [process.exitCode, ...lines];
  };

  it('prints the cause first, then errors of closing, at any depth', async () => {
    expect(await told(failsWithin(2))).toEqual([
      2,
      'normalworld: why it ended',
      'normalworld: and during cleanup: closing 0',
      'normalworld: and during cleanup: closing 1',
      'normalworld: and during cleanup: closing 2',
    ]);
  });

  it('prints a reason once, also if closing fails for the same reason', async () => {
    const dead = async () => {
      await using _ = stuck('it is dead');
      throw new Error('calling: it is dead');
    };
    expect(await told(dead())).toEqual([1, 'normalworld: calling: it is dead (a hint)']);
    const cause = new Error('it is dead');
    const failing = (doing: string) => Promise.reject(new Error(`${doing} failed, for it is dead`, { cause }));
    const closes = async () => {
      await using _ = { [Symbol.asyncDispose]: () => failing('closing') };
      await failing('calling');
    };
    expect(await told(closes())).toEqual([1, 'normalworld: calling failed, for it is dead (a hint)']);
  });

  it.skipIf(whyNot !== undefined)(
    onRealOptee('tells the panic that it ran into, not that closing failed as well'),
    { timeout: 60_000 },
    () => {
      const main = resolve(import.meta.dirname, '../../dist/cli/main.js');
      const args = ['optee', 'invoke', 'e6a33ed4-562b-463a-bb7e-ff5e15a493c8', '5'];
      const { status, stderr } = spawnSync(
        process.execPath,
        [main, ...args, 'memref.input=hex:d43ea3e62b563a46bb7eff5e15a493c8'],
        { encoding: 'utf8', timeout: 50_000 },
      );
      expect(stderr).toMatch(/^normalworld: .*OP-TEE panicked/);
      expect(stderr).not.toMatch(/suppressed|doctor/);
      expect(stderr.match(/OP-TEE panicked|Panic at/g)).toEqual(['OP-TEE panicked', 'Panic at']);
      expect(status).toBe(1);
    },
  );
});
