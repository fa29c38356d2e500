/** Kinds of defects. */
export type VerdictKind =
  /** OP-TEE's core panicked. */
  | 'core-panic'
  /** OP-TEE's core panicked because an assertion failed. */
  | 'assertion'
  /** OP-TEE's core panicked because of a data abort, a prefetch abort or an undefined instruction. */
  | 'abort'
  /** A trusted application panicked. This is a defect unless its specification defines the panic. */
  | 'ta-panic'
  /** A trusted application was ended by an abort. */
  | 'ta-abort'
  /** A call did not return. */
  | 'hang'
  /** Secure world wrote normal-world memory that was not shared for writing. */
  | 'memory'
  /** A session, a thread, shared memory or heap was not released. */
  | 'leak'
  /** A result that violates the protocol. */
  | 'protocol'
  /** Our code threw an error that is not a TEE error, or returned a wrong result. */
  | 'exception'
  /** The machine that OP-TEE runs on ended. */
  | 'machine';

export interface Verdict {
  readonly kind: VerdictKind;
  /**
   * Identifies the defect. It has no addresses or numbers that differ from run to run; two verdicts with the same
   * signature are the same defect.
   */
  readonly signature: string;
  /** One sentence for the user. */
  readonly what: string;
  /** The secure console's output, with functions and lines if there are symbols. */
  readonly console?: string;
}

/** A text without addresses, and without the numbers of threads, sessions and cookies: they differ from run to run. */
export function withoutNumbers(text: string): string {
  return text
    .replaceAll(/0x[0-9a-f]+/gi, '#')
    .replaceAll(/\b\d+\b/g, '#')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
