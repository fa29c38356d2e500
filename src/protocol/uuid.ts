import { v5 } from 'uuid';
import { show } from '../show.js';

/** A UUID in its canonical lower-case text form. */
export type Uuid = string;

export const nilUuid: Uuid = '00000000-0000-0000-0000-000000000000';

/**
 * The form, without a check of version bits: the UUID of a trusted application need not have any (RFC 9562, section 4).
 */
const form = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * The canonical form of a UUID in any case, with or without surrounding white space.
 * @throws TypeError naming the text if it is not a UUID.
 */
export function parseUuid(text: string): Uuid {
  const uuid = typeof text === 'string' ? text.trim().toLowerCase() : '';
  if (!form.test(uuid)) throw new TypeError(`not a UUID: ${show(text)} (wanted xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx)`);
  return uuid;
}

/** The 16 octets of a UUID, most significant first, as messages carry them (optee_msg.h, RFC 9562 section 5). */
export function uuidOctets(uuid: Uuid): Uint8Array {
  const hex = uuid.replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, index) => Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16));
}

/** The UUID of 16 octets, most significant first. */
export function uuidFromOctets(octets: Uint8Array): Uuid {
  let hex = '';
  for (let index = 0; index < 16; index++) hex += (octets[index] ?? 0).toString(16).padStart(2, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The UUID of a TEE_UUID in memory: its first three fields are little-endian numbers. */
export function uuidFromStruct(struct: Uint8Array): Uuid {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return uuidFromOctets(Uint8Array.from(order, (index) => struct[index] ?? 0));
}

/** A name-based UUID, version 5 (SHA-1). */
export function uuidVersion5(name: string, namespace: Uuid): Uuid {
  return v5(name, namespace);
}
