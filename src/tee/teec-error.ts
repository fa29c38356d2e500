import { type OptionNames, optionMistake } from '../known-options.js';
import type { TaPanicReport } from '../protocol/secure-world.js';
import { TeeOrigin, TeeResult, teeOriginName, teeResultName } from '../protocol/tee-result.js';

/**
 * The failure of a call to a TEE: GlobalPlatform's result code and origin, and the operation that failed. Match on
 * `code`, not on the message.
 */
export class TeecError extends Error {
  override readonly name = 'TeecError';
  /** The code's name in GlobalPlatform's client specification: `TEEC_ERROR_BUSY`. */
  readonly codeName: string;
  /** The returned parameters of a request that reached the TEE. */
  readonly outputs: readonly unknown[] | undefined;
  /** The size, in bytes, of each parameter that is a memory reference. With SHORT_BUFFER: the size needed. */
  readonly sizes: readonly (number | undefined)[] | undefined;
  /**
   * With TARGET_DEAD: how the application died, if its world reports it. Not printed, since the message has most of it.
   */
  declare readonly panic: TaPanicReport | undefined;

  /**
   * @param code a TEEC_ERROR_* or TEE_ERROR_* number, see `TeeResult`.
   * @param origin the layer that returned it, see `TeeOrigin`.
   * @param doing the operation that failed, and what was wrong in it.
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
    // The result comes before details that have lines of their own, such as a call stack.
    const [what = '', ...details] = doing.split('\n');
    const result = `${codeName} (0x${code.toString(16).padStart(8, '0')}, origin ${teeOriginName(origin)})`;
    super([`${what}: ${result}`, ...details].join('\n').trimEnd(), options);
    this.codeName = codeName;
    this.outputs = options.outputs;
    this.sizes = options.sizes;
    Object.defineProperty(this, 'panic', { value: options.panic });
  }
}

/** The caller used the API wrongly; no request was sent. */
export function badParameters(doing: string): TeecError {
  return new TeecError(TeeResult.ERROR_BAD_PARAMETERS, TeeOrigin.API, doing);
}

/**
 * Refuse unknown options.
 * @param doing the operation that the options belong to.
 * @throws TeecError BAD_PARAMETERS naming the option.
 */
export function checkOptions<Options extends object>(doing: string, given: Options, names: OptionNames<Options>): void {
  const mistake = optionMistake(given, names);
  if (mistake !== undefined) throw badParameters(`${doing}: ${mistake}`);
}

/** The driver refused or failed: the TEE did not see the request, or its answer was unusable. */
export function commsError(code: number, doing: string, options?: ErrorOptions): TeecError {
  return new TeecError(code, TeeOrigin.COMMS, doing, options);
}
