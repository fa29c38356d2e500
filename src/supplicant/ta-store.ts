import { TeeResult } from '../protocol/tee-result.js';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import type { SupplicantService } from './supplicant.js';

/** Where images of trusted applications come from. */
export interface TaStore {
  /** The image of a TA; undefined when there is none. */
  load(uuid: Uuid): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/** Images in memory. */
export class MemoryTaStore implements TaStore {
  private readonly images = new Map<Uuid, Uint8Array>();

  set(uuid: Uuid, image: Uint8Array): void {
    this.images.set(uuid, image);
  }

  load(uuid: Uuid): Uint8Array | undefined {
    return this.images.get(uuid);
  }
}

/**
 * LOAD_TA: value[0] the UUID, memref[1] the image. A null memref asks for the size; the size is told when the buffer is
 * too small. Source: optee_rpc_cmd.h, OPTEE_RPC_CMD_LOAD_TA.
 * @param stores asked in order.
 */
export function loadTaService(stores: readonly TaStore[]): SupplicantService {
  return async ([uuidParam, imageParam, ...more]) => {
    if (
      uuidParam?.type !== 'value' ||
      uuidParam.octets === undefined ||
      imageParam?.type !== 'memref' ||
      more.length > 0
    )
      return TeeResult.ERROR_BAD_PARAMETERS;
    const uuid = uuidFromOctets(uuidParam.octets);
    for (const store of stores) {
      const image = await store.load(uuid);
      if (image === undefined) continue;
      const room = imageParam.size;
      imageParam.size = image.length;
      if (imageParam.shm === null) return TeeResult.SUCCESS;
      if (image.length > room) return TeeResult.ERROR_SHORT_BUFFER;
      imageParam.shm.write(imageParam.offset, image);
      return TeeResult.SUCCESS;
    }
    return TeeResult.ERROR_ITEM_NOT_FOUND;
  };
}
