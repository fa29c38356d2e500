import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pss, type SignedImage } from './signed-image.js';

/** A key that images may be signed with. */
export interface SigningKey {
  /** What it is, for people: a file, mostly. */
  readonly name: string;
  readonly key: KeyObject;
}

/** @throws Error naming the file when it holds no RSA key. */
export async function signingKey(path: string): Promise<SigningKey> {
  try {
    return { name: path, key: createPublicKey(await readFile(path)) };
  } catch (error) {
    throw new Error(`${path} is not a key in PEM form: ${(error as Error).message}`, { cause: error });
  }
}

/** Whether the key made the signature. */
export function isSignedBy({ signature, hashed, algorithmId }: SignedImage, { key }: SigningKey): boolean {
  const padding = algorithmId === pss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING;
  try {
    return verify(
      'sha256',
      Buffer.concat(hashed),
      { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
      signature,
    );
  } catch {
    // A key of another kind or size.
    return false;
  }
}

/** The modulus of an RSA key, as OP-TEE's core holds it (core/kernel/ta_pub_key, made by its build). */
export function modulusOf({ key }: SigningKey): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url');
}

/**
 * The keys that there are files of beside an OP-TEE: its kit's. Whether its core takes them is another question, which
 * `acceptedKeys` answers.
 */
export async function kitKeys(opteeImage: string): Promise<SigningKey[]> {
  const file = join(dirname(opteeImage), 'ta_dev_kit/keys/default_ta.pem');
  return existsSync(file) ? [await signingKey(file)] : [];
}

/** Those of the keys that are in a core's image: it takes what they sign. */
export function acceptedKeys(core: Uint8Array, keys: readonly SigningKey[]): SigningKey[] {
  const bytes = Buffer.from(core.buffer, core.byteOffset, core.length);
  return keys.filter((key) => bytes.includes(modulusOf(key)));
}
