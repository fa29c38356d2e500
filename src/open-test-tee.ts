import type { Tee } from './client/tee.js';
import { requireKnownOptions } from './known-options.js';
import { type OpenTeeOptions, openTee } from './open-tee.js';
import { isSshBoard, parseSshBoard } from './remote/ssh-board.js';

/** Options for each kind of world; those of the tested kind are used. */
export interface TestTeeOptions {
  /** For every kind: a limit of calls, a trace. */
  readonly every?: Pick<OpenTeeOptions, 'callLimitMs' | 'trace'>;
  readonly simulated?: Omit<OpenTeeOptions, 'world'>;
  readonly qemu?: Omit<OpenTeeOptions, 'world'>;
  readonly linux?: Omit<OpenTeeOptions, 'world' | 'device'>;
}

/** The worlds on which a set of tests can run. */
export type TestWorld = 'simulated' | 'qemu' | 'linux';

/**
 * The tested world according to the environment variable NORMALWORLD_TEE. Not set: `simulated`. `qemu`. `linux`.
 * `linux:/dev/tee1`: another device. `ssh://board`: the device of a board, which is `linux` with that device.
 * @throws RangeError for any other value.
 */
export function testWorld(environment: Readonly<Record<string, string | undefined>> = process.env): {
  readonly world: TestWorld;
  readonly device?: string;
} {
  const { NORMALWORLD_TEE: text = '' } = environment;
  if (text === '' || text === 'simulated') return { world: 'simulated' };
  if (text === 'qemu' || text === 'linux') return { world: text };
  const [, device] = /^linux:(\/.+)$/.exec(text) ?? [];
  if (device !== undefined) return { world: 'linux', device };
  if (isSshBoard(text)) {
    parseSshBoard(text);
    return { world: 'linux', device: text };
  }
  throw new RangeError(
    `NORMALWORLD_TEE is ${JSON.stringify(text)}; allowed: simulated, qemu, linux, linux:DEVICE such as linux:/dev/tee1, and ssh://[user@]board[:port][/dev/tee0]`,
  );
}

/**
 * Open the TEE that NORMALWORLD_TEE names. The same tests then run on the simulated world, on OP-TEE in QEMU, and on a
 * board.
 * @param options by kind of world; those of other kinds are ignored.
 * @throws TypeError for an unknown option; and like `testWorld` and `openTee`.
 */
export async function openTestTee(options: TestTeeOptions = {}): Promise<Tee> {
  requireKnownOptions('openTestTee', options, { every: true, simulated: true, qemu: true, linux: true });
  const chosen = testWorld();
  return openTee({ ...options.every, ...options[chosen.world], ...chosen });
}
