import type { Uuid } from '../protocol/uuid.js';

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
    | 'too-long'
    | 'encryption-key'
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

/** Collects faults. */
export type AddFault = (what: TaFault['what'], answer: string, detail: string) => void;
