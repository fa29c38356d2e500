import { ConduitError } from '../protocol/conduit.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import type { Optee } from './optee.js';

/**
 * The error for a caller when a call to secure world failed. If secure world can no longer be reached, it is a
 * TeecError, and everything else that waits for secure world is woken.
 */
export function toldOf(error: unknown, optee: Optee, doing: string): unknown {
  if (!(error instanceof ConduitError)) return error;
  optee.end();
  return commsError(TeeResult.ERROR_COMMUNICATION, `${doing}: ${error.message}`, { cause: error.asCause });
}
