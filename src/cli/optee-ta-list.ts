import { readdir } from 'node:fs/promises';
import type { Command } from 'commander';
import { temporary } from '../client/parameters.js';
import type { Tee } from '../client/tee.js';
import { TeeResult } from '../protocol/tee-result.js';
import { uuidFromOctets } from '../protocol/uuid.js';
import { TeecError } from '../tee/teec-error.js';
import { addOpteeOptions, type OpteeOptions, onOptee, opteeExitCodes, taFolders } from './optee-options.js';

/** The device enumeration PTA and its commands: lib/libutee/include/pta_device.h of OP-TEE/optee_os. */
const devicePta = '7011a688-ddde-4053-a5a9-7b3c4ddf13b8';
const getDevices = 0x0;
const getDevicesSupplicant = 0x1;

/** `normalworld optee ta list`: what OP-TEE enumerates, and the images that the supplicant would load. */
export function addTaCommand(optee: Command): void {
  const list = optee.command('ta').description('Trusted applications.').command('list');
  list
    .summary('trusted applications that are there')
    .description('Lists trusted applications: those that OP-TEE enumerates as devices, and the images in the folders.')
    .addHelpText(
      'after',
      `${opteeExitCodes}

Examples:
  $ normalworld optee ta list
  $ normalworld optee ta list --ta build/ta --json | jq -r '.images[].uuid'`,
    );
  addOpteeOptions(list)
    .option('--json', 'print one JSON object')
    .action(async (options: OpteeOptions) => {
      await onOptee(options, async (tee) => {
        const enumerated = [...(await devices(tee, getDevices)), ...(await devices(tee, getDevicesSupplicant))];
        const images = await Promise.all((await taFolders(options)).map(imagesIn));
        if (options.json) {
          console.log(JSON.stringify({ enumerated, images: images.flat() }, null, 2));
          return;
        }
        for (const uuid of enumerated) console.log(`${uuid}  enumerated by OP-TEE`);
        for (const { uuid, folder } of images.flat()) console.log(`${uuid}  ${folder}`);
      });
    });
}

async function devices(tee: Tee, command: number): Promise<string[]> {
  await using context = tee.openKernelContext();
  await using session = await context.openSession(devicePta);
  const uuids = await session.invoke(command, [temporary.output(null)]).then(
    // Nothing to enumerate.
    () => new Uint8Array(0),
    async (error: unknown) => {
      if (!(error instanceof TeecError)) throw error;
      if (error.code === TeeResult.ERROR_ITEM_NOT_FOUND) return new Uint8Array(0);
      if (error.code !== TeeResult.ERROR_SHORT_BUFFER) throw error;
      // The size asked for is not told of a null reference: a page holds 256.
      const [found] = await session.invoke(command, [temporary.output(4096)]);
      return found;
    },
  );
  return Array.from({ length: uuids.length / 16 }, (_, index) =>
    uuidFromOctets(uuids.subarray(16 * index, 16 * index + 16)),
  );
}

async function imagesIn(folder: string): Promise<{ readonly uuid: string; readonly folder: string }[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith('.ta'))
    .sort()
    .map((name) => ({ uuid: name.slice(0, -'.ta'.length), folder }));
}
