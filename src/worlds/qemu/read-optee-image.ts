import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { nameFileInErrors } from '../../files/name-file-in-errors.js';
import { type OpteeImage, opteeImage } from './optee-image.js';

/**
 * OP-TEE's image of a file, with the pageable part that its build puts beside it.
 * @throws RangeError when it is none; Error of the file system when it cannot be read.
 */
export async function readOpteeImage(path: string): Promise<OpteeImage> {
  const file = await nameFileInErrors(path, () => readFile(path));
  const beside = await readFile(join(dirname(path), 'tee-pageable_v2.bin')).catch(() => undefined);
  return opteeImage(file, beside);
}
