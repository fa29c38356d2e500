import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Command, Option } from 'commander';
import { openLinuxSupplicant } from '../../linux/open-supplicant.js';
import { cardWithCid } from '../../rpmb/card-with-cid.js';
import { type EmmcCard, openEmmc } from '../../rpmb/node/open-emmc.js';
import { FolderFileSystem } from '../../supplicant/node/folder-file-system.js';
import { FolderTaStore } from '../../supplicant/node/folder-ta-store.js';
import { nodeSockets } from '../../supplicant/node/node-sockets.js';
import { ProfileFolder } from '../../supplicant/node/profile-folder.js';
import type { SupplicantPlugin } from '../../supplicant/plugin-service.js';
import { Ending } from '../open/ending.js';
import { rpmbCid, rpmbKey } from '../open/optee-options.js';
import { tellFailure } from '../output/failure.js';

interface SupplicantOptions {
  readonly device: string;
  readonly ta?: readonly string[];
  readonly storage?: string;
  readonly storageReadOnly?: boolean;
  readonly rpmb?: readonly string[];
  readonly rpmbKey?: Uint8Array;
  readonly rpmbCid?: Uint8Array;
  readonly plugin?: readonly string[];
  readonly profiles?: string;
  readonly sockets: boolean;
  readonly verbose?: boolean;
}

/** Where tee-supplicant looks for trusted applications. */
const usualTaFolders = ['/lib/optee_armtz', '/usr/lib/optee_armtz'] as const;

const several = (value: string, others: readonly string[] = []) => [...others, value];

/** `normalworld supplicant`: what tee-supplicant is, on Linux's own driver. */
export function addSupplicantCommand(program: Command): void {
  program
    .command('supplicant')
    .summary("be the supplicant of a board's TEE, in the place of tee-supplicant")
    .description(
      "Serves what OP-TEE asks of user space: images of trusted applications, files, sockets, plugins, RPMB, profiles. It takes the place of tee-supplicant at Linux's own driver, until Ctrl-C, SIGTERM or SIGHUP. Prints the device when it is ready.",
    )
    .option('--device <path>', "the supplicant's device", '/dev/teepriv0')
    .option(
      '--ta <folder>',
      `folder with trusted applications (<uuid>.ta), may be repeated (default: ${usualTaFolders.join(', ')})`,
      several,
    )
    .option('--storage <folder>', 'folder that secure storage writes to (default: memory, gone afterwards)')
    .option('--storage-read-only', 'secure storage reads that folder and changes nothing in it')
    .option(
      '--rpmb <file>',
      'an emulated RPMB partition in that file, made when it is not there; the first is device 0, the next 1',
      several,
    )
    .addOption(
      new Option(
        '--rpmb-key <key>',
        'program this key into a card that has none: 64 hexadecimal digits, or test (CFG_RPMB_TESTKEY)',
      ).argParser(rpmbKey),
    )
    .addOption(
      new Option(
        '--rpmb-cid <cid>',
        'of several cards the one with this identification, 32 hexadecimal digits, is device 0, and the only one; a single card that is made gets it',
      ).argParser(rpmbCid),
    )
    .option(
      '--plugin <module>',
      'module that exports a plugin, or an array of them, by default; may be repeated',
      several,
    )
    .option('--profiles <folder>', 'folder for the gprof and ftrace files of instrumented trusted applications')
    .option('--no-sockets', 'trusted applications have no network (default: that of this machine)')
    .option('--verbose', 'say on standard error what could not be done for a request')
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by a signal
  1  the device could not be opened (another supplicant has it), or something behind a service cannot be used
  2  bad usage

Examples:
  $ normalworld supplicant --storage /var/lib/tee
  $ normalworld supplicant --ta ./out --storage ./tee --plugin ./my-plugin.js --verbose`,
    )
    .action(supply);
}

async function supply(options: SupplicantOptions): Promise<void> {
  using ending = new Ending();
  try {
    const { storage, storageReadOnly, profiles } = options;
    if (storageReadOnly && storage === undefined) throw new RangeError('--storage-read-only is for a --storage');
    if (options.rpmbKey !== undefined && options.rpmb === undefined)
      throw new RangeError('--rpmb-key is for a card: --rpmb');
    const { rpmbCid: cid, rpmb: files = [] } = options;
    if (cid !== undefined && files.length === 0) throw new RangeError('--rpmb-cid is for a card: --rpmb');
    const plugins = (await Promise.all((options.plugin ?? []).map(pluginsOf))).flat();
    const key = options.rpmbKey === undefined ? {} : { key: options.rpmbKey };
    const cards: EmmcCard[] = [];
    try {
      const made = cid !== undefined && files.length === 1 ? { cid } : {};
      for (const file of files) cards.push(openEmmc({ file, ...key, ...made }));
      const supplicant = openLinuxSupplicant({
        device: options.device,
        taStores: (options.ta ?? usualTaFolders).map((folder) => new FolderTaStore(folder)),
        plugins,
        rpmb: cid === undefined ? cards : [cardWithCid(cards, cid)],
        sockets: options.sockets ? nodeSockets : false,
        ...(storage === undefined
          ? {}
          : { fileSystem: new FolderFileSystem(storage, { readOnly: storageReadOnly === true }) }),
        ...(profiles === undefined ? {} : { profiles: new ProfileFolder(profiles) }),
        onError: (failure) => console.error(`normalworld: ${failure.message}`),
        ...(options.verbose ? { onTrouble: (trouble: string) => console.error(`normalworld: ${trouble}`) } : {}),
      });
      ending.run();
      console.log(`the supplicant of ${options.device} is ready`);
      const left = supplicant.released.then(() => 'left' as const);
      if ((await Promise.race([ending.asked.then(() => 'asked' as const), left])) === 'left') process.exitCode = 1;
      ending.begin(() => ['what secure world asked for before']);
      await supplicant[Symbol.asyncDispose]();
    } finally {
      for (const card of cards) card.close();
    }
  } catch (error) {
    tellFailure(error);
  }
}

async function pluginsOf(path: string): Promise<readonly SupplicantPlugin[]> {
  const module = (await import(pathToFileURL(resolve(path)).href)) as {
    readonly default?: SupplicantPlugin | readonly SupplicantPlugin[];
  };
  if (module.default === undefined) throw new Error(`${path} exports no plugin by default`);
  return [module.default].flat() as readonly SupplicantPlugin[];
}
