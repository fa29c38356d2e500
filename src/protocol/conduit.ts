/**
 * The eight argument or result registers of an SMC, each an unsigned 32-bit integer (w0..w7 of the SMC32 calling
 * convention). Source: SMC Calling Convention (Arm DEN 0028), optee_smc.h ("a0..a7 is used as register names").
 */
export interface SmcRegisters {
  readonly a0: number;
  readonly a1: number;
  readonly a2: number;
  readonly a3: number;
  readonly a4: number;
  readonly a5: number;
  readonly a6: number;
  readonly a7: number;
}

/** Registers with the given values; the others are zero. */
export function smcRegisters(a0: number, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0, a6 = 0, a7 = 0): SmcRegisters {
  return { a0, a1, a2, a3, a4, a5, a6, a7 };
}

/**
 * Makes SMCs: takes the argument registers, returns the result registers. The implementation (the simulated world, or
 * OP-TEE in QEMU) may answer synchronously or later. Several SMCs can be in progress at once, one per CPU.
 *
 * A conduit that can no longer reach its world rejects with a `ConduitError`. It never makes up registers.
 */
export interface Conduit {
  smc(registers: SmcRegisters): SmcRegisters | Promise<SmcRegisters>;
  /**
   * Make an SMC and return at once, so that the caller runs while it is in secure world: `smc` may busy-wait for its
   * end. Absent if `smc` does not.
   */
  start?(registers: SmcRegisters): Promise<SmcRegisters>;
  /** Whether an SMC has not begun yet, because no processor is free. Absent if each begins at once. */
  waitsForProcessor?(registers: SmcRegisters): boolean;
}

/** Secure world cannot be reached any more: it died, panicked, or did not return in time. */
export class ConduitError extends Error {
  override readonly name = 'ConduitError';
  readonly #brief: string;
  #asCause: ConduitError | undefined;

  /** @param options.brief what happened, if `message` contains more than that. */
  constructor(message: string, options: ErrorOptions & { readonly brief?: string } = {}) {
    super(message, options);
    this.#brief = options.brief ?? message;
  }

  /** This error as the `cause` of an error that repeats the whole message: its own message is only `brief`. */
  get asCause(): ConduitError {
    this.#asCause ??= this.#brief === this.message ? this : new ConduitError(this.#brief, { cause: this.cause });
    return this.#asCause;
  }
}
