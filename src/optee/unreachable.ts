import { ConduitError } from '../protocol/conduit.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import type { Optee } from './optee.js';

/**
 * What a caller is told of an error on the way to secure world: when that cannot be reached any more, a TeecError, and
 * whatever else waits for it learns of it.
 */
export function toldOf(error: unknown, optee: Optee, doing: string): unknown {
  if (!(error instanceof ConduitError)) return error;
  optee.end();
  return commsError(TeeResult.ERROR_COMMUNICATION, `${doing}: ${error.message}`, { cause: error.asCause });
}
