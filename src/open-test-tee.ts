import type { Tee } from './client/tee.js';
import { requireKnownOptions } from './known-options.js';
import { type OpenTeeOptions, openTee } from './open-tee.js';
import { isSshBoard, parseSshBoard } from './remote/ssh-board.js';

/** What each kind of world is opened with, when it is that which is tested. */
export interface TestTeeOptions {
  /** Of every world: a limit of calls, a trace. */
  readonly every?: Pick<OpenTeeOptions, 'callLimitMs' | 'trace'>;
  readonly simulated?: Omit<OpenTeeOptions, 'world'>;
  readonly qemu?: Omit<OpenTeeOptions, 'world'>;
  readonly linux?: Omit<OpenTeeOptions, 'world' | 'device'>;
}

/** The worlds that a set of tests can be run on. */
export type TestWorld = 'simulated' | 'qemu' | 'linux';

/**
 * Which TEE is tested, as the environment says: `simulated` when NORMALWORLD_TEE is not set, `qemu`, `linux`,
 * `linux:/dev/tee1` for another device, or `ssh://board` for a board's: `linux` with the device that openTee takes for it.
 * @throws RangeError for anything else.
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
 * Open the TEE that NORMALWORLD_TEE names: the same tests then run on the simulated world, on OP-TEE in QEMU, and on a board.
 * @param options of each kind; an option that another kind has no use for is not in its way.
 * @throws TypeError for an unknown option; and as `testWorld` and `openTee` do.
 */
export async function openTestTee(options: TestTeeOptions = {}): Promise<Tee> {
  requireKnownOptions('openTestTee', options, { every: true, simulated: true, qemu: true, linux: true });
  const chosen = testWorld();
  return openTee({ ...options.every, ...options[chosen.world], ...chosen });
}
