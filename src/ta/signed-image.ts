import { createDecipheriv, createHash } from 'node:crypto';
import { type Uuid, uuidFromOctets } from '../protocol/uuid.js';

// core/include/signed_hdr.h of OP-TEE/optee_os: struct shdr, and the parts after it for each type of image.
const magic = 0x4f54_5348;
const headerSize = 20;
const versionedSize = 20;
const kinds = ['legacy', 'application', 'encrypted', 'subkey'] as const;

/** Signature algorithms: TEE_ALG_RSASSA_PKCS1_PSS_MGF1_SHA256, TEE_ALG_RSASSA_PKCS1_V1_5_SHA256. */
const algorithms = new Map([
  [0x7041_4930, 'RSA-PSS with SHA-256'],
  [0x7000_4830, 'RSA PKCS#1 1.5 with SHA-256'],
] as const);
export const pss = 0x7041_4930;

/** The parts of a TA image, as OP-TEE parses it. */
export interface SignedImage {
  readonly kind: (typeof kinds)[number];
  /** The name of a known algorithm; otherwise the number. */
  readonly algorithm: string;
  readonly algorithmId: number;
  readonly hash: Uint8Array;
  readonly signature: Uint8Array;
  /** The input of the hash: header, UUID and version, content. */
  readonly hashed: readonly Uint8Array[];
  /** Whether the hash matches; undefined if the content is encrypted with an unknown key: the hash is of the plaintext. */
  readonly hashHolds: boolean | undefined;
  /** From the signed part; undefined for the legacy form, which has none, and for a subkey. */
  readonly uuid: Uuid | undefined;
  readonly version: number | undefined;
  /** The ELF; its ciphertext if the image is encrypted with an unknown key; of a subkey, the description of the key. */
  readonly content: Uint8Array;
  /** What follows the content: of a subkey, the name and the image that the subkey signs. */
  readonly rest: Uint8Array;
  /** Bytes missing at the end, according to the header. */
  readonly missing: number;
  /** Bytes after the end. */
  readonly excess: number;
}

export type ImageParts =
  | SignedImage
  | { readonly kind: 'unsigned'; readonly content: Uint8Array }
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * Parse an image; never throws, whatever the bytes.
 * @param encryptionKeys keys with which an encrypted image may be decrypted, AES.
 */
export function signedImage(file: Uint8Array, encryptionKeys: readonly Uint8Array[] = []): ImageParts {
  if (file.length === 0) return { kind: 'unknown', why: 'is empty' };
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  if (file.length >= 4 && view.getUint32(0) === 0x7f45_4c46) return { kind: 'unsigned', content: file };
  if (file.length < headerSize)
    return { kind: 'unknown', why: `has ${file.length} bytes, fewer than the header of a signed image` };
  if (view.getUint32(0, true) !== magic)
    return { kind: 'unknown', why: 'is not a signed image: it does not begin with HSTO' };
  const type = view.getUint32(4, true);
  const contentSize = view.getUint32(8, true);
  const algorithmId = view.getUint32(12, true);
  const hashSize = view.getUint16(16, true);
  const signatureSize = view.getUint16(18, true);
  const kind = kinds[type];
  if (kind === undefined) return { kind: 'unknown', why: `is of type ${type}, which no known OP-TEE loads` };
  let at = headerSize;
  const take = (size: number) => {
    const part = file.subarray(at, at + size);
    at += size;
    return part;
  };
  const header = file.subarray(0, headerSize);
  const hash = take(hashSize);
  const signature = take(signatureSize);
  const versioned = kind === 'application' || kind === 'encrypted' ? take(versionedSize) : new Uint8Array(0);
  const cipher = kind === 'encrypted' ? cipherHeader(file, at) : new Uint8Array(0);
  at += cipher.length;
  const stored = take(contentSize);
  const parts = (content: Uint8Array) => [header, versioned, cipher, content];
  const holds = (content: Uint8Array) => sha256(parts(content)).equals(hash);
  const plain = kind === 'encrypted' ? decrypted(stored, cipher, encryptionKeys, holds) : stored;
  const content = plain ?? stored;
  const hashed = parts(content);
  const isWhole = versioned.length === versionedSize;
  return {
    kind,
    algorithm: (algorithms as ReadonlyMap<number, string>).get(algorithmId) ?? `0x${algorithmId.toString(16)}`,
    algorithmId,
    hash,
    signature,
    hashed,
    hashHolds: plain === undefined ? undefined : holds(content),
    uuid: isWhole ? uuidFromOctets(versioned.subarray(0, 16)) : undefined,
    version: isWhole ? new DataView(versioned.buffer, versioned.byteOffset).getUint32(16, true) : undefined,
    content,
    rest: file.subarray(at),
    missing: Math.max(0, at - file.length),
    // A subkey is followed by the image that it signs.
    excess: kind === 'subkey' ? 0 : Math.max(0, file.length - at),
  };
}

function sha256(parts: readonly Uint8Array[]): Buffer {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return digest.digest();
}

/**
 * The plaintext, by the key that gives the signed hash; else by one that gives at least the beginning of an ELF. The tag
 * of AES-GCM is not needed for that.
 */
function decrypted(
  content: Uint8Array,
  cipher: Uint8Array,
  keys: readonly Uint8Array[],
  holds: (plain: Uint8Array) => boolean,
): Uint8Array | undefined {
  const fixed = 12;
  if (cipher.length < fixed) return undefined;
  const view = new DataView(cipher.buffer, cipher.byteOffset, cipher.length);
  const nonce = cipher.subarray(fixed, fixed + view.getUint16(8, true));
  const plains = keys.flatMap((key) => {
    try {
      return [createDecipheriv(`aes-${(key.length * 8) as 128 | 192 | 256}-gcm`, key, nonce).update(content)];
    } catch {
      // The nonce or the key has a size that AES-GCM does not have.
      return [];
    }
  });
  return plains.find(holds) ?? plains.find((plain) => plain.length >= 4 && plain.readUInt32BE(0) === 0x7f45_4c46);
}

/** struct shdr_encrypted_ta: algorithm, flags, sizes of initialisation vector and tag; then vector and tag. */
function cipherHeader(file: Uint8Array, at: number): Uint8Array {
  const fixed = 12;
  if (at + fixed > file.length) return file.subarray(at);
  const view = new DataView(file.buffer, file.byteOffset + at, fixed);
  return file.subarray(at, at + fixed + view.getUint16(8, true) + view.getUint16(10, true));
}
