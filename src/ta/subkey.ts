import { createHash, createPublicKey } from 'node:crypto';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';
import type { SigningKey } from './signing-keys.js';

// struct shdr_subkey of core/include/signed_hdr.h: UUID, sizes, and the attributes of an RSA public key.
const fixedSize = 16 + 5 * 4;
const attributeSize = 12;
const rsaModulus = 0xd000_0130;
const rsaPublicExponent = 0xd000_0230;

/** A key that is signed itself, and signs the image that follows it. */
export interface Subkey {
  readonly uuid: Uuid;
  /** Octets of the name that follows it; 0 for a key that signs images with its own UUID only. */
  readonly nameSize: number;
  readonly key: SigningKey;
}

/** The subkey in the content of an image of that kind; undefined if it has none. */
export function subkeyIn(content: Uint8Array): Subkey | undefined {
  if (content.length < fixedSize) return undefined;
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const attributes = Math.min(
    view.getUint32(fixedSize - 4, true),
    Math.floor((content.length - fixedSize) / attributeSize),
  );
  const attribute = (wanted: number) => {
    for (let index = 0; index < attributes; index++) {
      const at = fixedSize + index * attributeSize;
      if (view.getUint32(at, true) !== wanted) continue;
      const offset = view.getUint32(at + 4, true);
      return Buffer.from(content.subarray(offset, offset + view.getUint32(at + 8, true)));
    }
    return undefined;
  };
  const [modulus, exponent] = [attribute(rsaModulus), attribute(rsaPublicExponent)];
  if (modulus === undefined || exponent === undefined) return undefined;
  try {
    const jwk = { kty: 'RSA', n: base64(modulus), e: base64(exponent) };
    return {
      uuid: uuidFromOctets(content.subarray(0, 16)),
      nameSize: view.getUint32(16, true),
      key: { name: 'its subkey', key: createPublicKey({ key: jwk, format: 'jwk' }) },
    };
  } catch {
    // These are not the numbers of a key.
    return undefined;
  }
}

/** The UUID that an image must have below a subkey: its own, or for a name the UUIDv5 of both, with SHA-512. */
export function uuidBelow({ uuid, nameSize }: Subkey, name: Uint8Array): Uuid {
  if (nameSize === 0) return uuid;
  const end = name.indexOf(0);
  const hash = createHash('sha512').update(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
  const digest = hash.update(end < 0 ? name : name.subarray(0, end)).digest();
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  return uuidFromOctets(digest.subarray(0, 16));
}

/** Without leading zeros. */
function base64(number: Buffer): string {
  let from = 0;
  while (from < number.length - 1 && number[from] === 0) from++;
  return number.subarray(from).toString('base64url');
}
