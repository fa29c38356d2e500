import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Command, Option } from 'commander';
import { buildSuites } from '../optee-build/build-options.js';
import { clientsOf, fetchedFolder } from '../optee-build/built-optee.js';
import { fetchArm64Root } from '../serve/arm64-root.js';
import { fetchOptee, folderAt, opteeSuite } from '../worlds/qemu/optee-folder.js';

const run = promisify(execFile);

/** OP-TEE's machine, and what runs arm64 clients on other machines. */
const programs: readonly (readonly [program: string, debianPackage: string])[] = [
  ['qemu-system-aarch64', 'qemu-system-arm'],
  ...(process.arch === 'arm64' ? [] : [['qemu-aarch64', 'qemu-user'] as const]),
];

/** `normalworld optee fetch`. */
export function addFetchCommand(optee: Command): void {
  optee
    .command('fetch')
    .summary("get QEMU, OP-TEE OS and its test TAs from Debian's packages")
    .description(
      "Gets QEMU, OP-TEE OS, its test TAs and its test suite from Debian's packages, once. QEMU is installed when it is " +
        'missing and you are root; all else goes into a folder.',
    )
    .addOption(
      new Option('--suite <suite>', "Debian's suite: trixie has OP-TEE 4.5, sid a newer one")
        .choices(buildSuites)
        .default(opteeSuite),
    )
    .option('--folder <path>', 'where to put OP-TEE (default: NORMALWORLD_OPTEE, or normalworld/optee in the cache)')
    .addHelpText(
      'after',
      `
Exit codes:
  0  all is there
  1  something could not be got; what it says is how to get it
  2  bad usage

Examples:
  $ normalworld optee fetch
  $ normalworld optee fetch --suite sid && normalworld optee info --optee debian-sid
  $ normalworld optee fetch --folder optee && NORMALWORLD_OPTEE=optee normalworld doctor`,
    )
    .action(async ({ suite, folder }: { readonly suite: string; readonly folder?: string }) => {
      for (const [program, debianPackage] of programs) await install(program, debianPackage);
      const say = (step: string) => console.log(step);
      await fetchOptee(folder === undefined ? fetchedFolder(suite) : folderAt(folder), say, suite);
      await fetchArm64Root(clientsOf(suite), say, suite);
    });
}

async function install(program: string, debianPackage: string): Promise<void> {
  if (await works(program, ['--version'])) {
    console.log(`${program} is there`);
    return;
  }
  if (process.getuid?.() !== 0) {
    console.log(`${program} is missing; as root: apt-get install ${debianPackage}`);
    process.exitCode = 1;
    return;
  }
  console.log(`installing ${debianPackage}`);
  await run('apt-get', ['--quiet', 'update'], { maxBuffer: 1 << 26 });
  await run('apt-get', ['--quiet', '--yes', '--no-install-recommends', 'install', debianPackage], {
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
