import { inspectMachine } from './worlds/qemu/inspect-machine.js';
import { opteeFolder } from './worlds/qemu/optee-folder.js';
import { checkQemuOptions, type QemuWorldOptions } from './worlds/qemu/qemu-options.js';

/**
 * What `openTee({ world: 'qemu', qemu: options })` needs but this machine does not have, and how to get it; for use as
 * the reason to skip a test. Undefined if nothing is missing.
 * @throws TypeError naming an unknown option.
 */
export async function missingForQemu(
  options: Pick<Partial<QemuWorldOptions>, 'optee' | 'qemu'> = {},
): Promise<string | undefined> {
  checkQemuOptions(options);
  const findings = await inspectMachine({ folder: opteeFolder(), image: options.optee, qemu: options.qemu });
  const missing = findings.filter(({ state }) => state === 'missing');
  return missing.length === 0 ? undefined : missing.map(({ what, detail }) => `${what}: ${detail}`).join('; ');
}
