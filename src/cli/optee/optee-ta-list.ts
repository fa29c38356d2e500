import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { TeeDeviceDescription } from '../../client/devices.js';
import type { Tee } from '../../client/tee.js';
import { imageUuid } from '../../supplicant/node/folder-ta-store.js';
import {
  addDeviceOption,
  addOpteeOptions,
  type OpteeOptions,
  onOptee,
  opteeExitCodes,
  taFolders,
} from '../open/optee-options.js';

const needed = {
  nothing: 'enumerated by OP-TEE',
  supplicant: 'enumerated by OP-TEE, needs a supplicant',
  rpmb: 'enumerated by OP-TEE, needs RPMB',
} satisfies Record<TeeDeviceDescription['needs'], string>;

/** `normalworld optee ta list`: list the TAs that OP-TEE enumerates, and the images that the supplicant would load. */
export function addTaCommand(optee: Command): void {
  const command = optee.command('ta').description('Trusted applications.').command('list');
  command
    .summary('list trusted applications')
    .description('Lists trusted applications: those that OP-TEE enumerates as devices, and the images in the folders.')
    .addHelpText(
      'after',
      `${opteeExitCodes}

Examples:
  $ normalworld optee ta list
  $ normalworld optee ta list --ta build/ta --json | jq -r '.images[].uuid'`,
    );
  addDeviceOption(addOpteeOptions(command))
    .option('--json', 'print one JSON object')
    .action(async (options: OpteeOptions) => {
      const list = async (tee: Tee) => {
        const devices = await tee.devices();
        const images = (await Promise.all((await taFolders(options)).map(imagesIn))).flat();
        if (options.json) {
          console.log(JSON.stringify({ enumerated: devices.map(({ uuid }) => uuid), devices, images }, null, 2));
          return;
        }
        for (const { uuid, needs } of devices) console.log(`${uuid}  ${needed[needs]}`);
        for (const { uuid, folder, name } of images)
          console.log(`${uuid}  ${folder}${name === `${uuid}.ta` ? '' : ` (${name})`}`);
      };
      // The images that a board's supplicant would load.
      await onOptee(options, list, ['ta']);
    });
}

/** An image that the supplicant would load, with the UUID in its file name. */
interface Image {
  readonly uuid: string;
  readonly folder: string;
  readonly name: string;
}

async function imagesIn(folder: string): Promise<Image[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    // The supplicant ignores this folder too, but here the user is told.
    console.error(`normalworld: ${folder}: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  }
  return names.sort().flatMap((name) => {
    const uuid = imageUuid(name);
    if (uuid !== undefined) return [{ uuid, folder, name }];
    if (name.endsWith('.ta'))
      console.error(
        `normalworld: ${join(folder, name)}: no supplicant looks for this name: an image is <uuid>.ta, in lower case`,
      );
    return [];
  });
}
