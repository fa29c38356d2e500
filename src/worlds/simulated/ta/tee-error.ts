import { teeResultName } from '../../../protocol/tee-result.js';

/** Thrown by an application to return an error from any depth of its code. */
export class TeeError extends Error {
  override readonly name = 'TeeError';

  constructor(
    readonly code: number,
    message = teeResultName(code),
  ) {
    super(message);
  }
}

/** TEE_Panic: ends the instance. It passes through the application's code, which must not catch it. */
export class TaPanic extends Error {
  override readonly name = 'TaPanic';

  constructor(
    readonly code: number,
    message = `panic with ${teeResultName(code)}`,
  ) {
    super(message);
  }
}
