import { RpcCommand } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import { uuidFromStruct } from '../protocol/uuid.js';
import { badRequest, bytesOf, memrefAt, valueAt } from './request-params.js';
import { guarded } from './service-boundary.js';
import type { SupplicantService } from './supplicant-service.js';

/** Storage for the profiles of trusted applications. */
export interface ProfileFiles {
  /**
   * Append to a file.
   * @param create make a new file. Returns false, without a change, if the name exists.
   */
  append(name: string, data: Uint8Array, create: boolean): boolean | Promise<boolean>;
}

/** The highest file number (as in tee-supplicant; prof.c). */
const maxNumber = 100;

/**
 * GPROF, FTRACE: the profile of an instrumented TA. value[0].a: 0 for a new file, otherwise the number that was
 * returned to its first request; memref[1] its UUID; memref[2] data. Files have the names that tee-supplicant gives
 * them (optee_client, prof.c): `gmon-<uuid>.out`, `ftrace-<uuid>.out`, and with `.1.out` and so on if the name exists.
 */
export function profileService(command: number, files: ProfileFiles): SupplicantService {
  const prefix = command === RpcCommand.gprof ? 'gmon-' : 'ftrace-';
  return guarded(command, async (params) => {
    const value = valueAt(params, 0, 'inout');
    const octets = memrefAt(params, 1, 'input');
    const data = memrefAt(params, 2, 'input');
    if (params.length !== 3) throw badRequest(`${params.length} parameters`);
    if (octets.size !== 16) throw badRequest(`a UUID of ${octets.size} bytes`);
    if (value.a > maxNumber) throw badRequest(`profile ${value.a}: the maximum is ${maxNumber}`);
    const uuid = uuidFromStruct(bytesOf(octets));
    const bytes = bytesOf(data);
    const create = value.a === 0;
    for (let number = create ? 1 : value.a; number <= maxNumber; number++) {
      const name = `${prefix}${uuid}${number > 1 ? `.${number - 1}` : ''}.out`;
      if (!(await files.append(name, bytes, create))) {
        if (create) continue;
        throw badRequest(`profile ${name} does not exist`);
      }
      value.a = number;
      return TeeResult.SUCCESS;
    }
    return TeeResult.ERROR_GENERIC;
  });
}
