import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import { EmulatedEmmc } from '../emulated-emmc.js';
import type { RpmbDevice } from '../rpmb-device.js';
import { EmmcFile } from './emmc-file.js';
import { hmacSha256 } from './hmac.js';

export interface OpenEmmcOptions {
  /** The path of its file, created if missing. Default: the card is in memory. */
  readonly file?: string;
  /** The authentication key, 32 octets, to program into a card that has none. */
  readonly key?: Uint8Array;
  /** Units of 128 KiB, 1..128, for a new card. Default: 1. */
  readonly sizeMultiplier?: number;
  /** Card identification, 16 octets, for a new card. An existing file must have this identification. */
  readonly cid?: Uint8Array;
}

const names: OptionNames<OpenEmmcOptions> = { file: true, key: true, sizeMultiplier: true, cid: true };

/** A card, with a method that closes its file. */
export type EmmcCard = RpmbDevice & { close(): void };

/** @throws like `EmmcFile.open`; TypeError for an unknown option, RangeError for an invalid value. */
export function openEmmc(options: OpenEmmcOptions = {}): EmmcCard {
  requireKnownOptions('emmc', options, names);
  const { file, ...rest } = options;
  if (file !== undefined && (typeof file !== 'string' || file === ''))
    throw new TypeError(`emmc: file must be a path, not ${file === '' ? 'an empty one' : typeof file}`);
  if (file === undefined) return Object.assign(new EmulatedEmmc({ hmac: hmacSha256, ...rest }), { close: () => {} });
  const card = EmmcFile.open(file, rest);
  return Object.assign(card, { close: () => card[Symbol.dispose]() });
}
