import type { Command } from 'commander';
import type { OpteeUnderTest } from '../../fuzz/optee/optee-machine.js';
import { opteeNamed } from '../../optee-build/built-optee.js';
import { opteeFolder } from '../../worlds/qemu/optee-folder.js';

/** Which OP-TEE is fuzzed, as the command line says it. */
export interface OpteeToFuzz {
  readonly optee?: string;
  readonly ta?: readonly string[];
  readonly qemu?: string;
}

export function opteeToFuzz(command: Command): Command {
  return command
    .option(
      '--optee <name or file>',
      'another OP-TEE than the fetched one: one that was built here (optee list), or an image of your own (tee-pager_v2.bin)',
    )
    .option(
      '--ta <folder>',
      'folder with trusted applications (<uuid>.ta), asked before the fetched ones; may be repeated',
      (folder: string, others: readonly string[] = []) => [...others, folder],
    )
    .option('--qemu <program>', 'QEMU of your own instead of qemu-system-aarch64');
}

/** @throws RangeError for an OP-TEE that there is none of. */
export async function opteeUnderTest({ optee, ta = [], qemu }: OpteeToFuzz): Promise<OpteeUnderTest> {
  const found = optee === undefined ? undefined : await opteeNamed(optee);
  const folder = opteeFolder();
  return {
    image: found?.image ?? folder.image,
    taFolders: [...ta, found?.trustedApplications ?? folder.trustedApplications],
    ...(qemu === undefined ? {} : { qemu }),
  };
}
