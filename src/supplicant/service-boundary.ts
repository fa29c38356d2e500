import { RpcCommand, rpcCommandName } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import { isUint32 } from '../protocol/uint32.js';
import { show } from '../show.js';
import { commsError, TeecError } from '../tee/teec-error.js';
import type { SupplicantService } from './supplicant-service.js';

/**
 * Convert everything that a service throws or returns into a TEE result. A service runs code of others (file systems,
 * sockets, plugins, cards), and uses the machine, so any value is possible; callers of the guarded service see only
 * results.
 */
export function guarded(command: number, service: SupplicantService): SupplicantService {
  const serve: SupplicantService = async (params, serving) => {
    try {
      const result: unknown = await service(params, serving);
      if (!isUint32(result))
        throw new TypeError(
          `the service for ${rpcCommandName(command)} answered ${show(result)}, which is not a TEE result`,
        );
      return result;
    } catch (error) {
      throw failureOf(error, command);
    }
  };
  const leave = service.leave?.bind(service);
  return leave === undefined ? serve : Object.assign(serve, { leave });
}

/**
 * The TeecError for an error of a service. A `TeecError` is returned unchanged. Errors of the operating system become
 * the result that tee-supplicant returns; if libutee would panic the application for that result, an equivalent one is
 * used. Any other error is a bug in the code that threw it.
 * @returns an error with a `cause` if the machine or a service failed, so that the failure can be reported.
 */
export function failureOf(error: unknown, command: number): TeecError {
  if (error instanceof TeecError && isUint32(error.code) && error.code !== TeeResult.SUCCESS) return error;
  const name = rpcCommandName(command);
  const errno = errnoOf(error);
  const cause = error ?? new Error(`${show(error)} was thrown`);
  return errno === undefined
    ? commsError(bugResult(command), `the service for ${name} failed: ${show(error)}`, { cause })
    : commsError(errnoResult(command, errno), `serving ${name}: ${show(error)}`, { cause });
}

/** `ENOSPC`, `EMFILE`, …; undefined if it is not an error of the operating system. */
export function errnoOf(error: unknown): string | undefined {
  try {
    const code: unknown = (error as { readonly code?: unknown } | null | undefined)?.code;
    return typeof code === 'string' && /^E(?!RR_)[A-Z0-9_]+$/.test(code) ? code : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The result for a bug. STORAGE_NOT_AVAILABLE is the one result that every storage call may return for any reason; for
 * GENERIC, libutee panics the application (lib/libutee/tee_api_objects.c).
 */
function bugResult(command: number): number {
  switch (command) {
    case RpcCommand.loadTa:
      return TeeResult.ERROR_ITEM_NOT_FOUND;
    case RpcCommand.fs:
    case RpcCommand.rpmb:
      return TeeResult.ERROR_STORAGE_NOT_AVAILABLE;
    default:
      return TeeResult.ERROR_GENERIC;
  }
}

function errnoResult(command: number, errno: string): number {
  if (command === RpcCommand.socket) return TeeResult.ERROR_COMMUNICATION;
  if (command !== RpcCommand.fs) return bugResult(command);
  switch (errno) {
    case 'ENOENT':
    // A path below a file does not exist, and a folder is not a file.
    case 'ENOTDIR':
    case 'EISDIR':
      return TeeResult.ERROR_ITEM_NOT_FOUND;
    case 'EEXIST':
    case 'ENOTEMPTY':
      return TeeResult.ERROR_ACCESS_CONFLICT;
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return TeeResult.ERROR_STORAGE_NO_SPACE;
    case 'ENAMETOOLONG':
      return TeeResult.ERROR_BAD_PARAMETERS;
    default:
      return TeeResult.ERROR_STORAGE_NOT_AVAILABLE;
  }
}
