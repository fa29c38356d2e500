import { pageSize } from '../protocol/physical-memory.js';
import { invalid } from './tee-ioctl.js';

/** How a client shares a buffer of its own (preload/wire.h, enum wire_way): on its word, for traces. */
export interface Sharing {
  readonly way: SharingWay;
  /** Bytes of the buffer that both sides have the same pages for. */
  readonly remapped: number;
}

const ways = {
  1: 'remapped',
  2: 'copied before and after each call: there is no whole page in it',
  3: 'copied before and after each call, as NORMALWORLD_SHM asks',
  4: 'copied before and after each call: writes of other threads would be lost',
  5: 'copied before and after each call: it is not ordinary private memory',
} as const;
type SharingWay = keyof typeof ways;

/**
 * From the body of SHM_REGISTER.
 * @param size of the buffer.
 */
export function parseSharing(body: Buffer, size: number): Sharing {
  const way = body.readUInt32LE(24);
  const remapped = body.readUInt32LE(28) * pageSize;
  if (!isWay(way) || remapped > size) throw invalid(`a buffer shared in way ${way}, ${remapped} bytes remapped`);
  return { way, remapped };
}

/** In words. */
export function describeSharing({ way, remapped }: Sharing, size: number): string {
  if (way !== 1) return ways[way];
  return remapped === size ? 'remapped' : `${remapped} bytes remapped, the rest copied`;
}

function isWay(way: number): way is SharingWay {
  return way in ways;
}
