import { existsSync } from 'node:fs';
import { builtOptee, fetchedFolder } from '../dist/optee-build/built-optee.js';
import { opteeFolder } from '../dist/worlds/qemu/optee-folder.js';

/**
 * The OP-TEEs on which normalworld is measured: the one that Linux uses too; Debian's newer one; and the first version
 * again over FF-A. The last two are optional and must be fetched and built.
 */
export const ownSides = {
  normalworld: { folder: async () => opteeFolder(), how: 'normalworld optee fetch' },
  sid: { folder: async () => fetchedFolder('sid'), how: 'normalworld optee fetch --suite sid' },
  ffa: {
    folder: async () => (await builtOptee('sid-ffa'))?.folder ?? (await builtOptee('sid-ffa-threads4'))?.folder,
    how: 'normalworld optee build --ffa',
  },
};

/** The folder of a side's OP-TEE; undefined if it does not exist. */
export async function opteeOf(side) {
  const folder = await ownSides[side].folder();
  return folder !== undefined && existsSync(folder.image) ? folder : undefined;
}
