import { pageSize } from '../protocol/physical-memory.js';
import { invalid } from './tee-ioctl.js';

/**
 * How a client shares its buffer (enum wire_way in preload/wire.h). The client reports it, and it is only used for
 * traces.
 */
export interface Sharing {
  readonly way: SharingWay;
  /** Number of bytes of the buffer that are mapped to the same pages in both processes. */
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
 * Read it from the body of SHM_REGISTER.
 * @param size size of the buffer in bytes.
 */
export function parseSharing(body: Buffer, size: number): Sharing {
  const way = body.readUInt32LE(24);
  const remapped = body.readUInt32LE(28) * pageSize;
  if (!isWay(way) || remapped > size) throw invalid(`a buffer shared in way ${way}, ${remapped} bytes remapped`);
  return { way, remapped };
}

/** A description as text. */
export function describeSharing({ way, remapped }: Sharing, size: number): string {
  if (way !== 1) return ways[way];
  return remapped === size ? 'remapped' : `${remapped} bytes remapped, the rest copied`;
}

function isWay(way: number): way is SharingWay {
  return way in ways;
}
