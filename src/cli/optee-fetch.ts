import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { fetchOptee, folderAt, opteeFolder } from '../worlds/qemu/optee-folder.js';

const run = promisify(execFile);

/** `normalworld optee fetch`. */
export function addFetchCommand(optee: Command): void {
  optee
    .command('fetch')
    .description("get QEMU, OP-TEE OS and its test TAs from Debian's packages")
    .option('--folder <path>', 'where to put OP-TEE (default: NORMALWORLD_OPTEE, or normalworld/optee in the cache)')
    .action(async (options: { readonly folder?: string }) => {
      await installQemu();
      await fetchOptee(options.folder === undefined ? opteeFolder() : folderAt(options.folder), (step) =>
        console.log(step),
      );
    });
}

async function installQemu(): Promise<void> {
  if (await works('qemu-system-aarch64', ['--version'])) {
    console.log('qemu-system-aarch64 is there');
    return;
  }
  if (process.getuid?.() !== 0) {
    console.log('qemu-system-aarch64 is missing; as root: apt-get install qemu-system-arm');
    process.exitCode = 1;
    return;
  }
  console.log('installing qemu-system-arm');
  await run('apt-get', ['--quiet', 'update'], { maxBuffer: 1 << 26 });
  await run('apt-get', ['--quiet', '--yes', '--no-install-recommends', 'install', 'qemu-system-arm'], {
    maxBuffer: 1 << 26,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

async function works(program: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(program, args);
    return true;
  } catch {
    return false;
  }
}
