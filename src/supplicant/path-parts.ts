import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';

/**
 * The parts of a file name of secure world, which is relative to its file system however it begins.
 * @throws TeecError BAD_PARAMETERS when it leads out of the file system.
 */
export function pathParts(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0'))
    throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `file name "${name}" leads outside the file system`);
  return parts;
}
