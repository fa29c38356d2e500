import { readWhole } from '../files/read-whole.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';
import { inspectTa } from './inspect-ta.js';
import { acceptedKeys, kitEncryptionKeys, kitKeys, modulusOf, type SigningKey } from './signing-keys.js';

/** In octets; larger than any OP-TEE. */
const longestImage = 2 ** 28;

/** The keys found on this machine, and those of them that an OP-TEE accepts. */
export interface KnownKeys {
  readonly keys: readonly SigningKey[];
  readonly accepted: readonly SigningKey[] | undefined;
  /** Keys with which applications may be encrypted. */
  readonly encryptionKeys?: readonly Uint8Array[];
}

/**
 * @param optee the path of the OP-TEE's image.
 * @param more further keys.
 */
export async function knownKeys(optee: string, more: readonly SigningKey[] = []): Promise<KnownKeys> {
  const fetched = await kitKeys(opteeFolder().image).catch(() => []);
  const own = await kitKeys(optee).catch(() => []);
  const keys = withoutRepeats([...more, ...own, ...fetched]);
  const core = await readWhole(optee, longestImage).catch(() => undefined);
  const encryptionKeys = await kitEncryptionKeys(optee).catch(() => []);
  return { keys, accepted: core === undefined ? undefined : acceptedKeys(core, keys), encryptionKeys };
}

/** Several kits may have the same key; it keeps the name of the first. */
function withoutRepeats(keys: readonly SigningKey[]): SigningKey[] {
  const moduli = keys.map((key) => modulusOf(key).toString('hex'));
  return keys.filter((_, index) => moduli.indexOf(moduli[index] ?? '') === index);
}

/** Explains why an OP-TEE will refuse an image. OP-TEE itself returns ERROR_SECURITY for every reason. */
export function imageJudge(optee: string): (named: string, image: Uint8Array) => Promise<string | undefined> {
  let keys: Promise<KnownKeys> | undefined;
  return async (named, image) => {
    keys ??= knownKeys(optee);
    const { faults } = inspectTa(image, { named, ...(await keys) });
    return faults.length === 0 ? undefined : faults.map(({ detail }) => detail).join('; ');
  };
}
