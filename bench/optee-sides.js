import { existsSync } from 'node:fs';
import { builtOptee, fetchedFolder } from '../dist/optee-build/built-optee.js';
import { opteeFolder } from '../dist/worlds/qemu/optee-folder.js';

/**
 * What normalworld is measured on: the OP-TEE that Linux has too; Debian's newer one; and that version again, reached by FF-A.
 * The last two are there when they were fetched and built.
 */
export const ownSides = {
  normalworld: { folder: async () => opteeFolder(), how: 'normalworld optee fetch' },
  sid: { folder: async () => fetchedFolder('sid'), how: 'normalworld optee fetch --suite sid' },
  ffa: {
    folder: async () => (await builtOptee('sid-ffa'))?.folder ?? (await builtOptee('sid-ffa-threads4'))?.folder,
    how: 'normalworld optee build --ffa',
  },
};

/** The folder of a side's OP-TEE; undefined when it is not there. */
export async function opteeOf(side) {
  const folder = await ownSides[side].folder();
  return folder !== undefined && existsSync(folder.image) ? folder : undefined;
}
