import { type OptionNames, optionMistake } from '../known-options.js';
import type { TaPanicReport } from '../protocol/secure-world.js';
import { TeeOrigin, TeeResult, teeOriginName, teeResultName } from '../protocol/tee-result.js';

/**
 * What a call to a TEE failed with: GlobalPlatform's result code and origin, and what was being done. Match on `code`,
 * not on the message.
 */
export class TeecError extends Error {
  override readonly name = 'TeecError';
  /** The code's name as GlobalPlatform's client specification has it: `TEEC_ERROR_BUSY`. */
  readonly codeName: string;
  /** What came back in the parameters of a request that reached the TEE. */
  readonly outputs: readonly unknown[] | undefined;
  /** The size, in bytes, of each parameter that is a memory reference: with SHORT_BUFFER, what would be needed. */
  readonly sizes: readonly (number | undefined)[] | undefined;
  /** With TARGET_DEAD: how the application died, where its world can tell. Not shown with the error: the message says it. */
  declare readonly panic: TaPanicReport | undefined;

  /**
   * @param code a TEEC_ERROR_* or TEE_ERROR_* number, see `TeeResult`.
   * @param origin which layer it comes from, see `TeeOrigin`.
   * @param doing what was being done, and what in it was wrong.
   */
  constructor(
    readonly code: number,
    readonly origin: TeeOrigin,
    doing: string,
    options: ErrorOptions & {
      readonly outputs?: readonly unknown[];
      readonly sizes?: readonly (number | undefined)[];
      readonly panic?: TaPanicReport | undefined;
    } = {},
  ) {
    const known = teeResultName(code);
    const codeName = known.startsWith('0x') ? known : `TEEC_${known}`;
    super(`${doing}: ${codeName} (0x${code.toString(16).padStart(8, '0')}, origin ${teeOriginName(origin)})`, options);
    this.codeName = codeName;
    this.outputs = options.outputs;
    this.sizes = options.sizes;
    Object.defineProperty(this, 'panic', { value: options.panic });
  }
}

/** The caller used the API wrongly; nothing was sent. */
export function badParameters(doing: string): TeecError {
  return new TeecError(TeeResult.ERROR_BAD_PARAMETERS, TeeOrigin.API, doing);
}

/**
 * Refuse options that nobody reads.
 * @param doing whose options they are.
 * @throws TeecError BAD_PARAMETERS naming the option.
 */
export function checkOptions<Options extends object>(doing: string, given: Options, names: OptionNames<Options>): void {
  const mistake = optionMistake(given, names);
  if (mistake !== undefined) throw badParameters(`${doing}: ${mistake}`);
}

/** The driver refused or failed; the TEE did not see the request, or its answer could not be used. */
export function commsError(code: number, doing: string, options?: ErrorOptions): TeecError {
  return new TeecError(code, TeeOrigin.COMMS, doing, options);
}
