import { TeeResult } from '../../../protocol/tee-result.js';
import type { Uuid } from '../../../protocol/uuid.js';
import { parseUuid, uuidFromOctets, uuidOctets } from '../../../protocol/uuid.js';
import type { TrustedApplication } from './trusted-application.js';

/** "NWTA", the magic of simulated images. A real OP-TEE refuses it, and the simulation refuses a real image. */
const magic = 0x4154_574e;
const version = 1;
/** Magic, version, digest of everything after it, payload size, UUID. */
const headerSize = 32;

/**
 * The image of a simulated user TA, to be stored as `<uuid>.ta` where the supplicant finds it. It takes the place of a
 * signed ELF: the code is in the simulation, and the image exercises the real path through the supplicant.
 */
export function simulatedTaImage(application: Pick<TrustedApplication, 'uuid' | 'name'>): Uint8Array {
  const payload = new TextEncoder().encode(application.name ?? application.uuid);
  const image = new Uint8Array(headerSize + payload.length);
  const view = new DataView(image.buffer);
  view.setUint32(0, magic, true);
  view.setUint32(4, version, true);
  view.setUint32(12, payload.length, true);
  image.set(uuidOctets(parseUuid(application.uuid)), 16);
  image.set(payload, headerSize);
  view.setUint32(8, digest(image.subarray(12)), true);
  return image;
}

/** Verify that the bytes are the unchanged image of that application. Returns a result code. */
export function verifyTaImage(image: Uint8Array, uuid: Uuid): number {
  if (image.length < headerSize) return TeeResult.ERROR_SECURITY;
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if (view.getUint32(0, true) !== magic) return TeeResult.ERROR_SECURITY;
  if (view.getUint32(4, true) !== version) return TeeResult.ERROR_BAD_FORMAT;
  if (view.getUint32(12, true) !== image.length - headerSize) return TeeResult.ERROR_SECURITY;
  if (view.getUint32(8, true) !== digest(image.subarray(12))) return TeeResult.ERROR_SECURITY;
  if (uuidFromOctets(image.subarray(16, headerSize)) !== uuid) return TeeResult.ERROR_SECURITY;
  return TeeResult.SUCCESS;
}

/** FNV-1a, 32 bits: detects corruption, is not a protection against attacks. */
function digest(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash >>> 0;
}
