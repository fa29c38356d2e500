import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
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

/** A world on the fetched OP-TEE; a call that hangs ends the test with the console's tail. */
export function startWorld(options: Partial<QemuWorldOptions> = {}): Promise<QemuWorld> {
  return QemuWorld.start({ optee: folder.image, callLimitMs: 30_000, ...options });
}
