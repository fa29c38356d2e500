import { type OptionNames, requireKnownOptions } from '../known-options.js';
import type { Uuid } from '../protocol/uuid.js';
import { signedImage } from './signed-image.js';
import { isSignedBy, type SigningKey } from './signing-keys.js';
import { taElf, taFlagNames } from './ta-elf.js';

/** Options of `inspectTa`. */
export interface InspectTaOptions {
  /** The UUID in the name of its file; undefined if the name is not a UUID. */
  readonly named: Uuid | undefined;
  /** The keys that are known here. */
  readonly keys: readonly SigningKey[];
  /** Those of them that the OP-TEE accepts; undefined if there is no OP-TEE to compare with. */
  readonly accepted: readonly SigningKey[] | undefined;
}

const names: OptionNames<InspectTaOptions> = { named: true, keys: true, accepted: true };

/** The properties of a TA image, and the reasons for which OP-TEE would refuse it. */
export interface TaReport {
  readonly kind: 'application' | 'encrypted' | 'subkey' | 'legacy' | 'unsigned' | 'unknown';
  readonly uuid?: Uuid | undefined;
  /** The TA version in the signed header. */
  readonly version?: number | undefined;
  readonly hash?: string;
  readonly algorithm?: string;
  /** The name of the known key that signed it. A truncated or altered image is not compared with keys. */
  readonly signer?: string | undefined;
  readonly bits?: 32 | 64;
  /** Stack size in bytes. */
  readonly stack?: number | undefined;
  /** Heap size in bytes; undefined if symbols are stripped. */
  readonly heap?: number | undefined;
  /** Size of the writable memory in bytes. */
  readonly writable?: number;
  /** Names of the TA_FLAG_* bits that are set. */
  readonly flags?: readonly string[];
  readonly flagBits?: number;
  /** The libraries that it is linked with (DT_NEEDED). */
  readonly needed?: readonly string[];
  /** The faults, the most important first; empty if OP-TEE would load it, as far as can be determined. */
  readonly faults: readonly TaFault[];
}

/** A reason for which OP-TEE would refuse an image. */
export interface TaFault {
  readonly what:
    | 'empty'
    | 'foreign'
    | 'unsigned'
    | 'truncated'
    | 'altered'
    | 'renamed'
    | 'misnamed'
    | 'wrong-key'
    | '32-bit'
    | 'too-large'
    | 'elf';
  /** A description with the remedy. */
  readonly detail: string;
  /** The result of opening a session. */
  readonly answer: string;
}

/** Examine the image of a trusted application with OP-TEE's checks. The key is checked only if it is known. */
export function inspectTa(file: Uint8Array, options: InspectTaOptions): TaReport {
  requireKnownOptions('inspectTa', options, names);
  const { named, keys, accepted } = options;
  const faults: TaFault[] = [];
  const fault = (what: TaFault['what'], answer: string, detail: string) => faults.push({ what, answer, detail });
  const image = signedImage(file);
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
    return { kind: 'unsigned', ...aboutElf(image.content, undefined, fault), faults };
  }
  const { kind, uuid, version, algorithm, hash } = image;
  const signer = keys.find((key) => isSignedBy(image, key));
  if (image.missing > 0)
    fault(
      'truncated',
      'TEEC_ERROR_SECURITY',
      `the image is truncated: ${image.missing} bytes are missing at its end, according to its header`,
    );
  else if (!image.hashHolds)
    fault(
      'altered',
      'TEEC_ERROR_SECURITY',
      `the image was altered after it was signed: its content does not match the signed hash`,
    );
  if (uuid !== undefined && named !== undefined && uuid !== named)
    fault(
      'renamed',
      'TEEC_ERROR_SECURITY',
      `the signed header of the image has UUID ${uuid}, but the file is named ${named}: the file was renamed, or BINARY in the Makefile was not changed`,
    );
  const known = accepted ?? [];
  if (accepted !== undefined && known.length > 0 && image.missing === 0 && image.hashHolds && kind !== 'subkey') {
    const isAccepted = known.some((key) => key === signer || isSignedBy(image, key));
    if (!isAccepted)
      fault(
        'wrong-key',
        'TEEC_ERROR_SECURITY',
        `the image is signed with ${signer === undefined ? 'another key than this OP-TEE accepts' : `the key ${signer.name}, which this OP-TEE does not accept`}: sign it with ${known.map(({ name }) => name).join(' or ')} (TA_SIGN_KEY), or use an OP-TEE that was built with its key`,
      );
  }
  // An encrypted image or a subkey has no readable ELF.
  const elf =
    kind === 'application' && image.missing === 0 ? aboutElf(image.content, uuid, fault) : ({} as Partial<TaReport>);
  return {
    kind,
    uuid,
    version,
    algorithm,
    hash: Buffer.from(hash).toString('hex'),
    signer: signer?.name,
    ...elf,
    faults,
  };
}

/** The secure RAM of OP-TEE's port for QEMU, for the core and applications: CFG_TZDRAM_SIZE. */
const secureRam = 15 * 1024 * 1024;

const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;

function aboutElf(
  content: Uint8Array,
  uuid: Uuid | undefined,
  fault: (what: TaFault['what'], answer: string, detail: string) => void,
): Partial<TaReport> {
  const elf = taElf(content);
  if (elf === undefined) {
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', 'the signed content is not an ELF, or it is truncated');
    return {};
  }
  const { bits, machine, head, heap, writable, needed } = elf;
  if (bits === 32)
    fault(
      '32-bit',
      'TEEC_ERROR_BAD_FORMAT',
      `the application is 32-bit (${machine}): this OP-TEE must support it (CFG_USER_TA_TARGETS with ta_arm32), Debian's does not; or build it with ta_arm64`,
    );
  else if (machine !== 'AArch64')
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', `the application is for ${machine}, not for AArch64`);
  else if (head === undefined && elf.entry !== 0)
    fault('elf', 'TEEC_ERROR_BAD_FORMAT', 'the ELF has no .ta_head: it was not linked by the TA dev kit');
  const memory = content.length + writable + (head?.stack ?? 0);
  if (memory > secureRam)
    fault(
      'too-large',
      'TEEC_ERROR_OUT_OF_MEMORY',
      `the application needs ${mebibytes(memory)} of secure RAM, ${mebibytes(head?.stack ?? 0)} of them its stack and ${mebibytes(heap ?? writable)} its heap; OP-TEE has less than ${mebibytes(secureRam)} on this machine: lower TA_STACK_SIZE and TA_DATA_SIZE`,
    );
  if (head !== undefined && uuid !== undefined && head.uuid !== uuid)
    fault(
      'renamed',
      'TEEC_ERROR_BAD_FORMAT',
      `the application's UUID is ${head.uuid} (TA_UUID), but its signature has ${uuid} (BINARY of its Makefile): they must be the same`,
    );
  return {
    bits,
    stack: head?.stack,
    heap,
    writable,
    needed,
    ...(head === undefined ? {} : { flags: taFlagNames(head.flags), flagBits: head.flags }),
  };
}
