import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Uuid } from '../../protocol/uuid.js';
import type { TaStore } from '../ta-store.js';

/** Images as files `<uuid>.ta` in a folder, as tee-supplicant finds them in /lib/optee_armtz. */
export class FolderTaStore implements TaStore {
  constructor(private readonly folder: string) {}

  async load(uuid: Uuid): Promise<Uint8Array | undefined> {
    try {
      return await readFile(join(this.folder, `${uuid}.ta`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}
