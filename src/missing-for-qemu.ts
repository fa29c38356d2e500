import { inspectMachine } from './worlds/qemu/inspect-machine.js';
import { opteeFolder } from './worlds/qemu/optee-folder.js';
import { checkQemuOptions, type QemuWorldOptions } from './worlds/qemu/qemu-options.js';

/**
 * What `openTee({ world: 'qemu', qemu: options })` lacks on this machine, and how to get it: the reason to skip a test
 * with. Undefined when it lacks nothing.
 * @throws TypeError naming an option that is none.
 */
export async function missingForQemu(
  options: Pick<Partial<QemuWorldOptions>, 'optee' | 'qemu'> = {},
): Promise<string | undefined> {
  checkQemuOptions(options);
  const findings = await inspectMachine({ folder: opteeFolder(), image: options.optee, qemu: options.qemu });
  const missing = findings.filter(({ state }) => state === 'missing');
  return missing.length === 0 ? undefined : missing.map(({ what, detail }) => `${what}: ${detail}`).join('; ');
}
