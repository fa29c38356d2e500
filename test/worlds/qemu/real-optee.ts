import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { OpenTeeOptions } from '../../../src/index.js';
import { rpmbTestKey } from '../../../src/rpmb/index.js';
import { opteeFolder } from '../../../src/worlds/qemu/optee-folder.js';
import type { QemuWorldOptions } from '../../../src/worlds/qemu/qemu-options.js';
import { QemuWorld } from '../../../src/worlds/qemu/qemu-world.js';

export const folder = opteeFolder();

/** Why the tests on real OP-TEE cannot run here; undefined when they can. */
export const whyNot: string | undefined = !existsSync(folder.image)
  ? `no OP-TEE in ${folder.path}: npx normalworld optee fetch`
  : spawnSync('qemu-system-aarch64', ['--version']).status !== 0
    ? 'no qemu-system-aarch64: npx normalworld optee fetch'
    : undefined;

/** What to call a suite that needs real OP-TEE: its name, and why it is skipped. */
export function onRealOptee(name: string): string {
  return whyNot === undefined ? name : `${name} (skipped: ${whyNot})`;
}

/** What the OP-TEE was built with: its conf.mk. Another than the fetched one is in the folder of NORMALWORLD_OPTEE. */
const configuration = new Map(
  (existsSync(folder.configuration) ? readFileSync(folder.configuration, 'utf8') : '')
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
);

/** The value of a variable of OP-TEE's build, `y` or a number mostly. */
export const builtWith = (name: string): string | undefined => configuration.get(name);

/** Why a test cannot run on this OP-TEE: the build is without something it needs, or has something in its way. */
export function without(name: string, value = 'n'): string | undefined {
  return whyNot === undefined && builtWith(name) === value ? `${name}=${value}` : undefined;
}

/** A test's name, with why it is skipped. */
export function named(name: string, why: string | undefined): string {
  return why === undefined ? name : `${name} (skipped: ${why})`;
}

/** The settings of openTee with which this OP-TEE is tested. */
export function realOptions(): OpenTeeOptions {
  // Who does not write the key into the card itself wants to find it there.
  const hasKey = builtWith('CFG_RPMB_WRITE_KEY') === 'n' && builtWith('CFG_RPMB_TESTKEY') === 'y';
  const cpus = process.env.NORMALWORLD_TEST_CPUS;
  return {
    world: 'qemu',
    qemu: { callLimitMs: 60_000, ...(cpus === undefined ? {} : { cpus: Number(cpus) }) },
    emmc: hasKey ? { key: rpmbTestKey } : {},
  };
}

/** A world on the fetched OP-TEE; a call that hangs ends the test with the console's tail. */
export function startWorld(options: Partial<QemuWorldOptions> = {}): Promise<QemuWorld> {
  return QemuWorld.start({ optee: folder.image, callLimitMs: 30_000, ...options });
}
