import { dirname, join } from 'node:path';
import { readRegularFile } from '../../files/read-regular-file.js';
import { readWhole } from '../../files/read-whole.js';
import { type OpteeImage, opteeImage } from './optee-image.js';

/** In octets; larger than the secure RAM of the machine. */
const longestImage = 2 ** 28;

/**
 * OP-TEE's image in a file, with the pageable part that its build puts next to it.
 * @throws RangeError if the file is not an image; Error of the file system if it cannot be read.
 */
export async function readOpteeImage(path: string): Promise<OpteeImage> {
  const file = await readWhole(path, longestImage);
  const beside = await readRegularFile(join(dirname(path), 'tee-pageable_v2.bin')).catch(() => undefined);
  return opteeImage(file, beside);
}
