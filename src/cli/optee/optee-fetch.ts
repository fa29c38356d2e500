import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Command, Option } from 'commander';
import { fetchFolders } from '../../debian/fetch-folders.js';
import { buildSuites } from '../../optee-build/build-options.js';
import { clientsOf, fetchedFolder } from '../../optee-build/built-optee.js';
import { aboutHostClientLibrary, buildHostClientLibrary } from '../../optee-kit/host-client-library.js';
import { suiteOfVersion } from '../../optee-kit/optee-version.js';
import { fetchedArm64Root } from '../../serve/arm64-root.js';
import { fetchedOptee, folderAt, opteeSuite } from '../../worlds/qemu/optee-folder.js';
import { tellFailure } from '../output/failure.js';

const run = promisify(execFile);

interface FetchOptions {
  readonly suite: string;
  readonly version?: string;
  readonly folder?: string;
  readonly again?: boolean;
  readonly clientSource?: string;
}

/** `normalworld optee fetch`. */
export function addFetchCommand(optee: Command): void {
  optee
    .command('fetch')
    .summary("get QEMU, OP-TEE OS, its test TAs and the TA dev kit from Debian's packages")
    .description(
      "Gets OP-TEE OS, its test TAs, its test suite, the TA dev kit, and libteec, from Debian's packages: " +
        'a download of about 6 MB plus 10 MB of lists, and 45 MB unpacked, in a folder of the user. If all is already there, ' +
        'nothing is downloaded. QEMU is installed if it is missing and you are root.',
    )
    .addOption(
      new Option('--suite <suite>', "Debian's suite: trixie has OP-TEE 4.5, sid a newer version")
        .choices(buildSuites)
        .default(opteeSuite),
    )
    .option('--version <version>', 'a version of OP-TEE, such as 4.5, instead of a suite: uses the suite that has it')
    .option('--folder <path>', 'where to put OP-TEE (default: NORMALWORLD_OPTEE, or normalworld/optee in the cache)')
    .option(
      '--client-source <folder>',
      'build libteec for x86-64 from this clone of OP-TEE/optee_client: Debian has binaries only for arm64, and not always the source',
    )
    .option('--again', 'get the newest packages even if all is already there')
    .addHelpText(
      'after',
      `
Source of the packages: on Debian, the machine's own source. Elsewhere Debian's archive, whose signature is checked
against the keys of the package debian-archive-keyring; its address comes from the distribution's apt
(package python-apt-common), or NORMALWORLD_DEBIAN; the keys are in NORMALWORLD_DEBIAN_KEYRING if they are not in
/usr/share/keyrings. apt does the work if it is available, else Node.js with gpgv, tar and xz. None of it needs root.

Exit codes:
  0  everything is available
  1  a download failed, or QEMU is missing; the output says how to get it
  2  bad usage

Examples:
  $ normalworld optee fetch
  $ normalworld optee fetch --suite sid && normalworld optee info --optee debian-sid
  $ normalworld optee fetch --version 4.10
  $ normalworld optee fetch --folder optee && NORMALWORLD_OPTEE=optee normalworld doctor`,
    )
    .action(async (options: FetchOptions, command: Command) => {
      const say = (step: string) => console.log(step);
      try {
        if (options.version !== undefined && command.getOptionValueSource('suite') === 'cli')
          throw new RangeError('--version and --suite both choose the OP-TEE: give one of them');
        const suite = options.version === undefined ? options.suite : await suiteOfVersion(options.version);
        const folder = options.folder === undefined ? fetchedFolder(suite) : folderAt(options.folder);
        const how = { say, again: options.again ?? false };
        const made = await fetchFolders(suite, [fetchedOptee(folder), fetchedArm64Root(clientsOf(suite))], how);
        if (options.clientSource !== undefined) await buildHostClientLibrary(folder, options.clientSource);
        else if (made)
          await buildHostClientLibrary(folder, [suite, ...buildSuites.filter((each) => each !== suite)]).catch(
            (error: Error) => say(`libteec for x86-64 could not be built: ${error.message}`),
          );
        say(await aboutHostClientLibrary(folder));
        if (!(await isThere('qemu-system-aarch64', 'qemu-system-arm'))) process.exitCode = 1;
        if (process.arch !== 'arm64' && !(await works('qemu-aarch64')))
          say('clients for arm64, such as xtest, need qemu-user: apt-get install qemu-user. Nothing else needs it');
      } catch (failure) {
        tellFailure(failure);
      }
    });
}

/** Whether a program is installed. If it is missing, it is installed with apt-get if this user is root. */
async function isThere(program: string, debianPackage: string): Promise<boolean> {
  if (await works(program)) return true;
  const hasApt = await works('apt-get');
  if (process.getuid?.() !== 0 || !hasApt) {
    console.error(
      hasApt
        ? `${program} is missing; as root: apt-get install ${debianPackage}`
        : `${program} is missing; your distribution has it as qemu-system-aarch64, qemu-system-arm, or qemu`,
    );
    return false;
  }
  console.log(`installing ${debianPackage}`);
  await run('apt-get', ['--quiet', 'update'], { maxBuffer: 1 << 26 });
  await run('apt-get', ['--quiet', '--yes', '--no-install-recommends', 'install', debianPackage], {
    maxBuffer: 1 << 26,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return works(program);
}

async function works(program: string): Promise<boolean> {
  return run(program, ['--version']).then(
    () => true,
    () => false,
  );
}
