import { type OptionNames, requireKnownOptions } from '../known-options.js';
import type { Uuid } from '../protocol/uuid.js';
import { aboutElf } from './inspect-elf.js';
import { type SignedImage, signedImage } from './signed-image.js';
import { isSignedBy, type SigningKey } from './signing-keys.js';
import { subkeyIn, uuidBelow } from './subkey.js';
import type { AddFault, TaFault, TaReport } from './ta-report.js';

/** Options of `inspectTa`. */
export interface InspectTaOptions {
  /** The UUID in the name of its file; undefined if the name is not a UUID. */
  readonly named: Uuid | undefined;
  /** The keys that are known here. */
  readonly keys: readonly SigningKey[];
  /** Those of them that the OP-TEE accepts; undefined if there is no OP-TEE to compare with. */
  readonly accepted: readonly SigningKey[] | undefined;
  /** The AES keys with which the OP-TEE decrypts applications, as far as they are known here. */
  readonly encryptionKeys?: readonly Uint8Array[];
}

const names: OptionNames<InspectTaOptions> = { named: true, keys: true, accepted: true, encryptionKeys: true };

/**
 * Examine the image of a trusted application with OP-TEE's checks. Signature and encryption are checked only with keys
 * that are known.
 */
export function inspectTa(file: Uint8Array, options: InspectTaOptions): TaReport {
  requireKnownOptions('inspectTa', options, names);
  const { named, encryptionKeys } = options;
  const faults: TaFault[] = [];
  const fault: AddFault = (what, answer, detail) => faults.push({ what, answer, detail });
  const image = signedImage(file, encryptionKeys);
  if (image.kind === 'unknown') {
    const what = file.length === 0 ? 'empty' : 'foreign';
    // OP-TEE allocates this many bytes before it checks them.
    fault(what, what === 'empty' ? 'TEEC_ERROR_OUT_OF_MEMORY' : 'TEEC_ERROR_SECURITY', `the image ${image.why}`);
    return { kind: 'unknown', faults };
  }
  if (image.kind === 'unsigned') {
    fault(
      'unsigned',
      'TEEC_ERROR_SECURITY',
      'the image is an ELF without a signature (<uuid>.elf or .stripped.elf of the build): use the <uuid>.ta that sign_encrypt.py creates from it',
    );
    return { kind: 'unsigned', ...aboutElf(image.content, fault), faults };
  }
  const { kind, uuid, version, algorithm, hash } = image;
  const signer = options.keys.find((key) => isSignedBy(image, key));
  checkSize(image, fault);
  if (uuid !== undefined && named !== undefined && uuid !== named)
    fault(
      'renamed',
      'TEEC_ERROR_SECURITY',
      `the signed header of the image has UUID ${uuid}, but the file is named ${named}: the file was renamed, or BINARY in the Makefile was not changed`,
    );
  checkSigner(image, signer, options, fault);
  const about = {
    ...{ kind, uuid, version, algorithm, signer: signer?.name },
    hash: Buffer.from(hash).toString('hex'),
  };
  if (kind === 'subkey')
    return faults.length > 0 ? { ...about, faults } : { ...inspectBelow(image, options), kind, signer: signer?.name };
  const isReadable = image.missing === 0 && (kind === 'application' || image.hashHolds !== undefined);
  return { ...about, ...(isReadable ? aboutElf(image.content, fault) : {}), faults };
}

function checkSize({ missing, excess, hashHolds, kind }: SignedImage, fault: AddFault): void {
  if (missing > 0)
    fault(
      'truncated',
      'TEEC_ERROR_SECURITY',
      `the image is truncated: ${missing} bytes are missing at its end, according to its header`,
    );
  else if (hashHolds === false && kind !== 'encrypted')
    fault(
      'altered',
      'TEEC_ERROR_SECURITY',
      'the image was altered after it was signed: its content does not match the signed hash',
    );
  else if (hashHolds === false)
    fault(
      'altered',
      'TEEC_ERROR_SECURITY',
      'the image was altered after it was signed: its decrypted content does not match the signed hash',
    );
  if (excess > 0)
    fault('too-long', 'TEEC_ERROR_SECURITY', `${excess} bytes follow the end of the image, according to its header`);
}

function checkSigner(
  image: SignedImage,
  signer: SigningKey | undefined,
  { accepted = [], encryptionKeys = [] }: InspectTaOptions,
  fault: AddFault,
): void {
  if (image.missing > 0) return;
  if (image.hashHolds === undefined && encryptionKeys.length > 0)
    fault(
      'encryption-key',
      'TEEC_ERROR_BAD_FORMAT',
      "the image is encrypted with another key than this OP-TEE's (TA_ENC_KEY of its TA dev kit), or its header is damaged",
    );
  if (image.hashHolds !== true || accepted.length === 0) return;
  if (accepted.some((key) => key === signer || isSignedBy(image, key))) return;
  fault(
    'wrong-key',
    'TEEC_ERROR_SECURITY',
    `the image is signed with ${signer === undefined ? 'another key than this OP-TEE accepts' : `the key ${signer.name}, which this OP-TEE does not accept`}: sign it with ${accepted.map(({ name }) => name).join(' or ')} (TA_SIGN_KEY), or use an OP-TEE that was built with its key`,
  );
}

/** The image that a subkey signs. */
function inspectBelow(image: SignedImage, options: InspectTaOptions): TaReport {
  const subkey = subkeyIn(image.content);
  const { rest } = image;
  const nameSize = subkey?.nameSize ?? 0;
  const fault = (what: TaFault['what'], detail: string): TaReport => ({
    kind: 'subkey',
    faults: [{ what, answer: 'TEEC_ERROR_SECURITY', detail }],
  });
  if (subkey === undefined) return fault('altered', 'the subkey of the image is not an RSA key');
  if (rest.length <= nameSize) return fault('truncated', 'the image is truncated: nothing follows its subkey');
  const report = inspectTa(rest.subarray(nameSize), {
    ...options,
    keys: [subkey.key, ...options.keys],
    accepted: [subkey.key],
  });
  const expected = uuidBelow(subkey, rest.subarray(0, nameSize));
  if (report.faults.length > 0 || report.kind === 'subkey' || report.uuid === expected) return report;
  return {
    ...report,
    ...fault('renamed', `the subkey signs UUID ${expected}, but the application's is ${report.uuid}`),
  };
}
