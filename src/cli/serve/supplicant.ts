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

/** The folders in which tee-supplicant looks for trusted applications. */
const usualTaFolders = ['/lib/optee_armtz', '/usr/lib/optee_armtz'] as const;

const several = (value: string, others: readonly string[] = []) => [...others, value];

/** `normalworld supplicant`: replaces tee-supplicant on Linux's own driver. */
export function addSupplicantCommand(program: Command): void {
  program
    .command('supplicant')
    .summary("run the supplicant of a board's TEE, instead of tee-supplicant")
    .description(
      "Serves OP-TEE's requests to user space: images of trusted applications, files, sockets, plugins, RPMB, profiles. It replaces tee-supplicant at Linux's own driver, until Ctrl-C, SIGTERM or SIGHUP. Prints the device when it is ready.",
    )
    .option('--device <path>', "the supplicant's device", '/dev/teepriv0')
    .option(
      '--ta <folder>',
      `folder with trusted applications (<uuid>.ta), may be repeated (default: ${usualTaFolders.join(', ')})`,
      several,
    )
    .option('--storage <folder>', 'folder that secure storage writes to (default: memory, lost afterwards)')
    .option('--storage-read-only', 'secure storage reads that folder and changes nothing in it')
    .option(
      '--rpmb <file>',
      'file for an emulated RPMB partition, created if it does not exist; the first is device 0, the next 1',
      several,
    )
    .addOption(
      new Option(
        '--rpmb-key <key>',
        'program this key into a card without a key: 64 hexadecimal digits, or test (CFG_RPMB_TESTKEY)',
      ).argParser(rpmbKey),
    )
    .addOption(
      new Option(
        '--rpmb-cid <cid>',
        'use only the card with this identification, 32 hexadecimal digits, as device 0; a single new card gets it',
      ).argParser(rpmbCid),
    )
    .option(
      '--plugin <module>',
      'module whose default export is a plugin, or an array of plugins; may be repeated',
      several,
    )
    .option('--profiles <folder>', 'folder for the gprof and ftrace files of instrumented trusted applications')
    .option('--no-sockets', 'no network for trusted applications (default: that of this machine)')
    .option('--verbose', 'report failed requests on standard error')
    .addHelpText(
      'after',
      `
Exit codes:
  0  ended by a signal
  1  the device could not be opened (another supplicant has it), or a service cannot be used
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
    if (storageReadOnly && storage === undefined) throw new RangeError('--storage-read-only needs --storage');
    if (options.rpmbKey !== undefined && options.rpmb === undefined)
      throw new RangeError('--rpmb-key needs a card: --rpmb');
    const { rpmbCid: cid, rpmb: files = [] } = options;
    if (cid !== undefined && files.length === 0) throw new RangeError('--rpmb-cid needs a card: --rpmb');
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
      ending.begin(() => ["secure world's pending requests"]);
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
  if (module.default === undefined) throw new Error(`${path} has no plugin as its default export`);
  return [module.default].flat() as readonly SupplicantPlugin[];
}
