import { RpcCommand } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import { parseUuid, type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import { show } from '../show.js';
import { commsError } from '../tee/teec-error.js';
import { octetsAnswered } from './answers.js';
import { guarded } from './service-boundary.js';
import type { Serving, SupplicantService } from './supplicant-service.js';

/** A source of images of trusted applications. */
export interface TaStore {
  /**
   * The image of a TA; undefined if the store does not have it.
   * @throws Error if the image cannot be found out or read. The next store is asked, and the error is reported.
   */
  load(uuid: Uuid): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Why secure world will refuse an image of this store, as text; undefined if no reason is known. */
  doubts?(uuid: Uuid, image: Uint8Array): Promise<string | undefined>;
  /** Where the store looks for images, and what is there, as text for the error if no store has the image. */
  searched?(): Promise<string>;
}

/** Images in memory. */
export class MemoryTaStore implements TaStore {
  private readonly images = new Map<Uuid, Uint8Array>();

  /** @throws TypeError if the text is not a UUID. */
  set(uuid: string, image: Uint8Array): void {
    this.images.set(parseUuid(uuid), image);
  }

  load(uuid: Uuid): Uint8Array | undefined {
    return this.images.get(uuid);
  }
}

/** The maximum size of an image in bytes: more memory than any OP-TEE has. */
export const maxImageSize = 2 ** 28;

/**
 * LOAD_TA: value[0] the UUID, memref[1] the image. A null memref requests the size; the size is also returned if the
 * buffer is too small. Source: optee_rpc_cmd.h, OPTEE_RPC_CMD_LOAD_TA.
 * @param stores asked in order. One that fails is skipped, as tee-supplicant skips a folder.
 */
export function loadTaService(stores: readonly TaStore[]): SupplicantService {
  return guarded(RpcCommand.loadTa, async ([uuidParam, imageParam, ...more], serving) => {
    if (
      uuidParam?.type !== 'value' ||
      uuidParam.octets === undefined ||
      imageParam?.type !== 'memref' ||
      more.length > 0
    )
      return TeeResult.ERROR_BAD_PARAMETERS;
    const uuid = uuidFromOctets(uuidParam.octets);
    const failures: Error[] = [];
    for (const store of stores) {
      let image: Uint8Array | undefined;
      try {
        const answer: unknown = await store.load(uuid);
        image = answer === undefined ? undefined : octetsAnswered(answer, maxImageSize, 'a store of images');
      } catch (error) {
        failures.push(new Error(show(error), { cause: error }));
      }
      if (image === undefined) continue;
      for (const failure of failures) serving?.report(failure);
      const room = imageParam.size;
      imageParam.size = image.length;
      // Secure world requests the size first, and then the image if it has enough memory.
      if (imageParam.shm !== null && image.length > room) return TeeResult.ERROR_SHORT_BUFFER;
      imageParam.shm?.write(imageParam.offset, image);
      if (imageParam.shm !== null || image.length === 0) await remarkDoubts(store, uuid, image, serving);
      return TeeResult.SUCCESS;
    }
    if (failures.length === 0) {
      await remarkSearched(stores, uuid, serving);
      return TeeResult.ERROR_ITEM_NOT_FOUND;
    }
    throw commsError(
      TeeResult.ERROR_ITEM_NOT_FOUND,
      `loading ${uuid}: ${failures.map(({ message }) => message).join('; ')}`,
      { cause: failures.length === 1 ? (failures[0]?.cause ?? failures[0]) : new AggregateError(failures) },
    );
  });
}

async function remarkSearched(stores: readonly TaStore[], uuid: Uuid, serving?: Serving): Promise<void> {
  try {
    const places: string[] = [];
    for (const store of stores) if (store.searched !== undefined) places.push(await store.searched());
    if (places.length > 0) serving?.remark(`there is no ${uuid}.ta in the folders searched: ${places.join(', ')}`);
  } catch (error) {
    serving?.report(error);
  }
}

/** An error in the check of an image does not prevent it from being loaded. */
async function remarkDoubts(store: TaStore, uuid: Uuid, image: Uint8Array, serving?: Serving): Promise<void> {
  try {
    const doubts = await store.doubts?.(uuid, image);
    if (doubts !== undefined) serving?.remark(doubts);
  } catch (error) {
    serving?.report(error);
  }
}
