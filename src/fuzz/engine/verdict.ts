/** What may not be. */
export type VerdictKind =
  /** OP-TEE's core panicked. */
  | 'core-panic'
  /** ... by an assertion of its own. */
  | 'assertion'
  /** ... by an access or an instruction that it could not make. */
  | 'abort'
  /** A trusted application panicked: a defect unless its specification says that it does. */
  | 'ta-panic'
  /** A trusted application made an access or an instruction that it could not make. */
  | 'ta-abort'
  /** A call did not come back. */
  | 'hang'
  /** Memory of the normal world was written that was not given for it. */
  | 'memory'
  /** A session, a thread, shared memory or heap was not given back. */
  | 'leak'
  /** A result that the protocol does not allow. */
  | 'protocol'
  /** Code of ours threw what is no error of a TEE, or answered wrongly. */
  | 'exception'
  /** The machine around OP-TEE ended. */
  | 'machine';

export interface Verdict {
  readonly kind: VerdictKind;
  /** What it was, without what differs from run to run: two with the same are the same. */
  readonly signature: string;
  /** One sentence for people. */
  readonly what: string;
  /** What the secure console said, with functions and lines where there are symbols. */
  readonly console?: string;
}

/** A text without what differs from run to run: addresses, and numbers of threads, sessions and cookies. */
export function withoutNumbers(text: string): string {
  return text
    .replaceAll(/0x[0-9a-f]+/gi, '#')
    .replaceAll(/\b\d+\b/g, '#')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
