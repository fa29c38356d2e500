import { RpcFs } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeMemrefParam, TeeParam } from '../tee/tee-param.js';
import type { ReeFile, ReeFileSystem } from './ree-file-system.js';
import { badRequest, bytesAt, HandleTable, memrefAt, valueAt } from './request-params.js';
import type { SupplicantService } from './supplicant.js';

interface OpenDirectory {
  readonly names: readonly string[];
  next: number;
}

/** The longest file name secure world may send, in bytes with its terminating zero (Linux's PATH_MAX). */
const maxNameSize = 4096;

/**
 * FS: the eleven file operations of optee_rpc_cmd.h, OPTEE_RPC_FS_*. value[0] holds the operation, a handle and an
 * offset; the answers to failures are tee-supplicant's (optee_client, tee_supp_fs.c).
 */
export function fsService(fileSystem: ReeFileSystem): SupplicantService {
  const files = new HandleTable<ReeFile>();
  const directories = new HandleTable<OpenDirectory>();

  return async (params) => {
    const request = valueAt(params, 0, 'input');
    switch (request.a) {
      case RpcFs.open:
      case RpcFs.create: {
        const name = nameAt(params, 1);
        const out = valueAt(params, 2, 'output');
        out.a = files.add(await (request.a === RpcFs.open ? fileSystem.open(name) : fileSystem.create(name)));
        return TeeResult.SUCCESS;
      }
      case RpcFs.close:
        await files.take(request.b).close();
        return TeeResult.SUCCESS;
      case RpcFs.read: {
        const file = files.find(request.b);
        const out = memrefAt(params, 1, 'output');
        const data = new Uint8Array(out.size);
        const length = await file.read(request.c, data);
        out.shm?.write(out.offset, data.subarray(0, length));
        out.size = length;
        return TeeResult.SUCCESS;
      }
      case RpcFs.write:
        await files.find(request.b).write(request.c, bytesAt(params, 1));
        return TeeResult.SUCCESS;
      case RpcFs.truncate:
        await files.find(request.b).truncate(request.c);
        return TeeResult.SUCCESS;
      case RpcFs.remove:
        await fileSystem.remove(nameAt(params, 1));
        return TeeResult.SUCCESS;
      case RpcFs.rename:
        await fileSystem.rename(nameAt(params, 1), nameAt(params, 2), request.b !== 0);
        return TeeResult.SUCCESS;
      case RpcFs.opendir: {
        const names = await fileSystem.list(nameAt(params, 1));
        const out = valueAt(params, 2, 'output');
        // OP-TEE's enumeration takes an empty folder for none, as tee-supplicant answers.
        if (names.length === 0) return TeeResult.ERROR_ITEM_NOT_FOUND;
        out.a = directories.add({ names, next: 0 });
        return TeeResult.SUCCESS;
      }
      case RpcFs.closedir:
        directories.take(request.b);
        return TeeResult.SUCCESS;
      case RpcFs.readdir:
        return readDirectory(directories.find(request.b), memrefAt(params, 1, 'output'));
      default:
        throw badRequest(`file operation ${request.a} does not exist`);
    }
  };
}

function readDirectory(directory: OpenDirectory, out: TeeMemrefParam): number {
  const name = directory.names[directory.next];
  if (name === undefined) return TeeResult.ERROR_ITEM_NOT_FOUND;
  directory.next++;
  const bytes = new TextEncoder().encode(`${name}\0`);
  const room = out.size;
  out.size = bytes.length;
  if (bytes.length > room) return TeeResult.ERROR_SHORT_BUFFER;
  out.shm?.write(out.offset, bytes);
  return TeeResult.SUCCESS;
}

/** A name, which ends at its first zero. */
function nameAt(params: readonly TeeParam[], index: number): string {
  const memref = memrefAt(params, index, 'input');
  if (memref.size > maxNameSize) throw badRequest(`a file name of ${memref.size} bytes, at most ${maxNameSize}`);
  const bytes = bytesAt(params, index);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
