import type { Command } from 'commander';
import type { OpteeUnderTest } from '../../fuzz/optee/optee-machine.js';
import { opteeNamed } from '../../optee-build/built-optee.js';
import { opteeFolder } from '../../worlds/qemu/optee-folder.js';
import { addWhichOptee } from '../open/optee-options.js';

/** The OP-TEE to be fuzzed, from the command line. */
export interface OpteeToFuzz {
  readonly optee?: string;
  readonly ta?: readonly string[];
  readonly qemu?: string;
}

export function opteeToFuzz(command: Command): Command {
  return addWhichOptee(command).option('--qemu <program>', 'your own QEMU instead of qemu-system-aarch64');
}

/**
 * @param why the reason why no OP-TEE is used.
 * @throws RangeError naming an option that would be ignored.
 */
export function refuseOptee({ optee, ta, qemu }: OpteeToFuzz, why: string): void {
  for (const [flag, value] of Object.entries({ '--optee': optee, '--ta': ta, '--qemu': qemu }))
    if (value !== undefined) throw new RangeError(`${flag} is for OP-TEE in QEMU: ${why}`);
}

/** @throws RangeError if that OP-TEE does not exist. */
export async function opteeUnderTest({ optee, ta = [], qemu }: OpteeToFuzz): Promise<OpteeUnderTest> {
  const found = optee === undefined ? undefined : await opteeNamed(optee);
  const folder = opteeFolder();
  return {
    image: found?.image ?? folder.image,
    taFolders: [...ta, found?.trustedApplications ?? folder.trustedApplications],
    ...(qemu === undefined ? {} : { qemu }),
  };
}
