import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Uuid } from '../../protocol/uuid.js';
import { errnoOf } from '../service-boundary.js';
import { maxImageSize, type TaStore } from '../ta-store.js';

/** A UUID as it is asked for in lower case, and before 2017 without its last dash. */
const imageName = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4})-?([0-9a-f]{12})\.ta$/;

/** The application whose image has this name in a folder; undefined for a name that is never asked for. */
export function imageUuid(name: string): Uuid | undefined {
  const [, head, node] = imageName.exec(name) ?? [];
  return head === undefined ? undefined : `${head}-${node}`;
}

/**
 * Images as files `<uuid>.ta` in a folder, as tee-supplicant finds them in /lib/optee_armtz; also under the name that was
 * usual before 2017, without the dash before the last twelve digits (optee_client, teec_ta_load.c).
 */
export class FolderTaStore implements TaStore {
  /** @param judge what secure world will have against an image. */
  constructor(
    private readonly folder: string,
    private readonly judge?: NonNullable<TaStore['doubts']>,
  ) {}

  async doubts(uuid: Uuid, image: Uint8Array): Promise<string | undefined> {
    return this.judge?.(uuid, image);
  }

  /** @throws Error naming the file when there is one that cannot be read, or that is none. */
  async load(uuid: Uuid): Promise<Uint8Array | undefined> {
    return (await this.read(`${uuid}.ta`)) ?? (await this.read(`${uuid.replace(/-(?=[^-]*$)/, '')}.ta`));
  }

  private async read(name: string): Promise<Uint8Array | undefined> {
    const path = join(this.folder, name);
    let handle: FileHandle;
    try {
      // Opening a FIFO waits for its other end unless it is told not to.
      handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const status = await handle.stat();
      if (!status.isFile()) throw new Error(`${path} is not a regular file`);
      if (status.size > maxImageSize)
        throw new Error(`${path} has ${status.size} bytes, an image may have at most ${maxImageSize}`);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  }
}
