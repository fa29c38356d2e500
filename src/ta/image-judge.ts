import { readWhole } from '../files/read-whole.js';
import { opteeFolder } from '../worlds/qemu/optee-folder.js';
import { inspectTa } from './inspect-ta.js';
import { acceptedKeys, kitKeys, modulusOf, type SigningKey } from './signing-keys.js';

/** Longer than any OP-TEE, octets. */
const longestImage = 2 ** 28;

/** Keys that are known on this machine, and those of them that an OP-TEE takes. */
export interface KnownKeys {
  readonly keys: readonly SigningKey[];
  readonly accepted: readonly SigningKey[] | undefined;
}

/**
 * @param optee the OP-TEE's image.
 * @param more further keys.
 */
export async function knownKeys(optee: string, more: readonly SigningKey[] = []): Promise<KnownKeys> {
  const fetched = await kitKeys(opteeFolder().image).catch(() => []);
  const own = await kitKeys(optee).catch(() => []);
  const keys = withoutRepeats([...more, ...own, ...fetched]);
  const core = await readWhole(optee, longestImage).catch(() => undefined);
  return { keys, accepted: core === undefined ? undefined : acceptedKeys(core, keys) };
}

/** The same key may be in several kits: it is named after the first. */
function withoutRepeats(keys: readonly SigningKey[]): SigningKey[] {
  const moduli = keys.map((key) => modulusOf(key).toString('hex'));
  return keys.filter((_, index) => moduli.indexOf(moduli[index] ?? '') === index);
}

/** Says what an OP-TEE will have against an image that it loads: its result is the same for all of it, ERROR_SECURITY. */
export function imageJudge(optee: string): (named: string, image: Uint8Array) => Promise<string | undefined> {
  let keys: Promise<KnownKeys> | undefined;
  return async (named, image) => {
    keys ??= knownKeys(optee);
    const { faults } = inspectTa(image, { named, ...(await keys) });
    return faults.length === 0 ? undefined : faults.map(({ detail }) => detail).join('; ');
  };
}
