import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularFile } from '../../files/read-regular-file.js';
import type { Uuid } from '../../protocol/uuid.js';
import { errnoOf } from '../service-boundary.js';
import { maxImageSize, type TaStore } from '../ta-store.js';

/** A UUID in lower case; before 2017, without its last hyphen. */
const imageName = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4})-?([0-9a-f]{12})\.ta$/;

/** The UUID of the application whose image has this file name; undefined for a name that is never looked up. */
export function imageUuid(name: string): Uuid | undefined {
  const [, head, node] = imageName.exec(name) ?? [];
  return head === undefined ? undefined : `${head}-${node}`;
}

/**
 * Images as files `<uuid>.ta` in a folder, as in tee-supplicant's /lib/optee_armtz. The name used before 2017, without
 * the hyphen before the last twelve digits, is also found (optee_client, teec_ta_load.c).
 */
export class FolderTaStore implements TaStore {
  /** The image of each application that was loaded last. */
  private readonly loaded = new Map<Uuid, { readonly path: string; readonly state: string; readonly digest: string }>();

  /** @param judge predicts why secure world will refuse an image. */
  constructor(
    private readonly folder: string,
    private readonly judge?: NonNullable<TaStore['doubts']>,
  ) {}

  async doubts(uuid: Uuid, image: Uint8Array): Promise<string | undefined> {
    return this.judge?.(uuid, image);
  }

  /** A folder may be created later, by the first build. */
  async searched(): Promise<string> {
    try {
      const images = (await readdir(this.folder)).filter((name) => imageUuid(name) !== undefined).length;
      return `${this.folder} (${images === 1 ? '1 image' : `${images} images`})`;
    } catch (error) {
      const code = errnoOf(error);
      return `${this.folder} (${code === 'ENOENT' ? 'does not exist' : `cannot be read: ${code}`})`;
    }
  }

  /** @throws Error naming the file if it exists but cannot be read or is not a regular file. */
  async load(uuid: Uuid): Promise<Uint8Array | undefined> {
    return (await this.read(uuid, `${uuid}.ta`)) ?? (await this.read(uuid, `${uuid.replace(/-(?=[^-]*$)/, '')}.ta`));
  }

  /** The image, if it is another one now than that which was loaded last. */
  async changeSinceLoad(uuid: Uuid): Promise<{ readonly path: string; readonly digest: string } | undefined> {
    const loaded = this.loaded.get(uuid);
    if (loaded === undefined) return undefined;
    const { path } = loaded;
    const state = await stateOf(path);
    if (state === loaded.state || loaded !== this.loaded.get(uuid)) return undefined;
    const digest = digestOf(await readRegularFile(path, maxImageSize));
    return digest === loaded.digest || loaded !== this.loaded.get(uuid) ? undefined : { path, digest };
  }

  private async read(uuid: Uuid, name: string): Promise<Uint8Array | undefined> {
    const path = join(this.folder, name);
    try {
      // In this order: a change in between counts as one.
      const state = await stateOf(path);
      const image = await readRegularFile(path, maxImageSize);
      this.loaded.set(uuid, { path, state, digest: digestOf(image) });
      return image;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      if (errnoOf(error) === 'ENOTDIR') throw new Error(`${this.folder} is not a folder`, { cause: error });
      throw error;
    }
  }
}

async function stateOf(path: string): Promise<string> {
  const { ino, size, mtimeMs } = await stat(path);
  return `${ino} ${size} ${mtimeMs}`;
}

function digestOf(image: Uint8Array): string {
  return createHash('sha256').update(image).digest('hex');
}
