import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';

/**
 * The components of a file name of secure world. The name is relative to its file system, also with a leading slash.
 * @throws TeecError BAD_PARAMETERS if it leaves the file system.
 */
export function pathParts(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0'))
    throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `file name "${name}" leads outside the file system`);
  return parts;
}
