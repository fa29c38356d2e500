import { RpcCommand, rpcCommandName } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError, TeecError } from '../tee/teec-error.js';
import type { SupplicantService } from './supplicant-service.js';

/**
 * Where what services throw and answer becomes a TEE result. Behind it stands code that others wrote (file systems,
 * sockets, plugins, cards, services) and the machine itself, so anything may come; in front of it there are results only.
 */
export function guarded(command: number, service: SupplicantService): SupplicantService {
  const serve: SupplicantService = async (params, serving) => {
    try {
      const result: unknown = await service(params, serving);
      if (!isResult(result))
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
 * The TEE's word for an error. A `TeecError` is one. Errors of the operating system become what tee-supplicant answers,
 * or, where its answer would have libutee end the application, the result that says the same and does not. Everything else
 * is a bug of the code that threw it.
 * @returns an error whose `cause` is there when the machine failed or somebody's code did: what its owner should be told.
 */
export function failureOf(error: unknown, command: number): TeecError {
  if (error instanceof TeecError && isResult(error.code) && error.code !== TeeResult.SUCCESS) return error;
  const name = rpcCommandName(command);
  const errno = errnoOf(error);
  const cause = error ?? new Error(`${show(error)} was thrown`);
  return errno === undefined
    ? commsError(bugResult(command), `the service for ${name} failed: ${show(error)}`, { cause })
    : commsError(errnoResult(command, errno), `serving ${name}: ${show(error)}`, { cause });
}

export function isResult(result: unknown): result is number {
  return typeof result === 'number' && Number.isInteger(result) && result >= 0 && result <= 0xffff_ffff;
}

/** A value of any kind, for people; never throws. */
export function show(value: unknown): string {
  try {
    if (value instanceof Error) return value.name === 'Error' ? value.message : `${value.name}: ${value.message}`;
    return typeof value === 'string' ? `"${value}"` : String(value);
  } catch {
    return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
  }
}

/** `ENOSPC`, `EMFILE`, …; undefined for what is no error of the operating system. */
export function errnoOf(error: unknown): string | undefined {
  try {
    const code: unknown = (error as { readonly code?: unknown } | null | undefined)?.code;
    return typeof code === 'string' && /^E(?!RR_)[A-Z0-9_]+$/.test(code) ? code : undefined;
  } catch {
    return undefined;
  }
}

/**
 * STORAGE_NOT_AVAILABLE is the one result that each of the storage calls may return for whatever reason: libutee panics
 * an application for GENERIC (lib/libutee/tee_api_objects.c).
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
    // Below what is no folder there is nothing, and a folder is no file.
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
    case 'ELOOP':
      return TeeResult.ERROR_GENERIC;
    default:
      return TeeResult.ERROR_STORAGE_NOT_AVAILABLE;
  }
}
