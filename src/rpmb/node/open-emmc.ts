import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import { EmulatedEmmc } from '../emulated-emmc.js';
import type { RpmbDevice } from '../rpmb-device.js';
import { EmmcFile } from './emmc-file.js';
import { hmacSha256 } from './hmac.js';

export interface OpenEmmcOptions {
  /** Its file, made when it is not there; memory when left out. */
  readonly file?: string;
  /** The authentication key, 32 octets, to be programmed into a card that has none. */
  readonly key?: Uint8Array;
  /** Units of 128 KiB, 1..128, of a new card: 1 when left out. */
  readonly sizeMultiplier?: number;
  /** Its identification, 16 octets: of a card that is made. One whose file is there must have it. */
  readonly cid?: Uint8Array;
}

const names: OptionNames<OpenEmmcOptions> = { file: true, key: true, sizeMultiplier: true, cid: true };

/** A card, and what closes its file. */
export type EmmcCard = RpmbDevice & { close(): void };

/** @throws as `EmmcFile.open` does, and TypeError or RangeError naming an option that cannot be. */
export function openEmmc(options: OpenEmmcOptions = {}): EmmcCard {
  requireKnownOptions('emmc', options, names);
  const { file, ...rest } = options;
  if (file !== undefined && (typeof file !== 'string' || file === ''))
    throw new TypeError(`emmc: file must be a path, not ${file === '' ? 'an empty one' : typeof file}`);
  if (file === undefined) return Object.assign(new EmulatedEmmc({ hmac: hmacSha256, ...rest }), { close: () => {} });
  const card = EmmcFile.open(file, rest);
  return Object.assign(card, { close: () => card[Symbol.dispose]() });
}
