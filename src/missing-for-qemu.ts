import { inspectMachine } from './worlds/qemu/inspect-machine.js';
import { opteeFolder } from './worlds/qemu/optee-folder.js';
import type { QemuWorldOptions } from './worlds/qemu/qemu-options.js';

/**
 * What `openTee({ world: 'qemu', qemu: options })` lacks on this machine, and how to get it: the reason to skip a test
 * with. Undefined when it lacks nothing.
 */
export async function missingForQemu(
  options: Pick<Partial<QemuWorldOptions>, 'optee' | 'qemu'> = {},
): Promise<string | undefined> {
  const findings = await inspectMachine({ folder: opteeFolder(), image: options.optee, qemu: options.qemu });
  const missing = findings.filter(({ state }) => state === 'missing');
  return missing.length === 0 ? undefined : missing.map(({ what, detail }) => `${what}: ${detail}`).join('; ');
}
