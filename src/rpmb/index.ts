/** RPMB: cards for secure storage, and the exchange of their frames. */

export { rpmbTestKey } from '../protocol/rpmb.js';
export { cardWithCid } from './card-with-cid.js';
export { type EmmcMemory, EmulatedEmmc, type EmulatedEmmcOptions, type RpmbFault } from './emulated-emmc.js';
export { type CardPower, MmcHost } from './mmc-host.js';
export { EmmcFile, type EmmcFileOptions } from './node/emmc-file.js';
export { hmacSha256 } from './node/hmac.js';
export type { Hmac, RpmbDevice } from './rpmb-device.js';
