import { RpcCommand, RpcFs } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeMemrefParam, TeeParam } from '../tee/tee-param.js';
import { commsError } from '../tee/teec-error.js';
import { countAnswered, namesAnswered, objectAnswered } from './answers.js';
import { HandleNumbers, HandleTable } from './handle-table.js';
import { maxFileSize, type ReeFile, type ReeFileSystem } from './ree-file-system.js';
import { badRequest, bytesAt, bytesOf, memrefAt, valueAt } from './request-params.js';
import { guarded } from './service-boundary.js';
import type { Serving, SupplicantService } from './supplicant-service.js';

interface OpenDirectory {
  readonly names: readonly string[];
  next: number;
}

/** The maximum length of a file name from secure world, in bytes with its terminating zero (Linux's PATH_MAX). */
const maxNameSize = 4096;

/**
 * FS: the eleven file operations of optee_rpc_cmd.h, OPTEE_RPC_FS_*. value[0] holds the operation, a handle and an
 * offset. Failures have the result codes of tee-supplicant (optee_client, tee_supp_fs.c).
 */
export function fsService(fileSystem: ReeFileSystem, numbers = new HandleNumbers()): SupplicantService {
  const { serve, leave } = new FsService(fileSystem, numbers);
  return guarded(RpcCommand.fs, Object.assign(serve, { leave }));
}

class FsService {
  private readonly files: HandleTable<ReeFile>;
  private readonly directories: HandleTable<OpenDirectory>;
  /** Files that are not in the table any more, and not yet closed. */
  private readonly closing = new Set<Promise<void>>();
  private left = false;

  constructor(
    private readonly fileSystem: ReeFileSystem,
    numbers: HandleNumbers,
  ) {
    this.files = new HandleTable(numbers);
    this.directories = new HandleTable(numbers);
  }

  readonly leave = async (): Promise<void> => {
    this.left = true;
    this.directories.takeAll();
    await Promise.all([...this.closing, ...this.files.takeAll().map(async (file) => file.close())]);
  };

  readonly serve = async (params: readonly TeeParam[], serving?: Serving): Promise<number> => {
    const { fileSystem, files, directories } = this;
    const request = valueAt(params, 0, 'input');
    switch (request.a) {
      case RpcFs.open:
      case RpcFs.create:
        return this.open(params, serving, request.a === RpcFs.open ? 'open' : 'create');
      case RpcFs.close:
        await this.close(files.take(request.b));
        return TeeResult.SUCCESS;
      case RpcFs.read: {
        const file = files.find(request.b);
        const out = memrefAt(params, 1, 'output');
        const data = new Uint8Array(out.size);
        const length = countAnswered(await file.read(exact(request.c), data), data.length, "a file's read");
        out.shm?.write(out.offset, data.subarray(0, length));
        out.size = length;
        return TeeResult.SUCCESS;
      }
      case RpcFs.write: {
        const file = files.find(request.b);
        const memref = memrefAt(params, 1, 'input');
        const offset = withinFile(request.c, memref.size);
        await file.write(offset, bytesOf(memref));
        return TeeResult.SUCCESS;
      }
      case RpcFs.truncate:
        await files.find(request.b).truncate(withinFile(request.c, 0));
        return TeeResult.SUCCESS;
      case RpcFs.remove:
        await fileSystem.remove(nameAt(params, 1));
        return TeeResult.SUCCESS;
      case RpcFs.rename:
        await fileSystem.rename(nameAt(params, 1), nameAt(params, 2), request.b !== 0);
        return TeeResult.SUCCESS;
      case RpcFs.opendir: {
        const out = valueAt(params, 2, 'output');
        const names = namesAnswered(await fileSystem.list(nameAt(params, 1)), "the file system's list");
        // OP-TEE's enumeration treats an empty folder as a missing one, and tee-supplicant answers accordingly.
        if (names.length === 0) return TeeResult.ERROR_ITEM_NOT_FOUND;
        const handle = directories.add({ names, next: 0 });
        serving?.ifUnwanted(() => void directories.remove(handle));
        out.a = handle;
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

  private async open(
    params: readonly TeeParam[],
    serving: Serving | undefined,
    how: 'open' | 'create',
  ): Promise<number> {
    const out = valueAt(params, 2, 'output');
    const answer = await this.fileSystem[how](nameAt(params, 1));
    const file = objectAnswered(answer, `the file system's ${how}`, ['read', 'write', 'truncate', 'close']);
    if (this.left) {
      await file.close();
      throw commsError(TeeResult.ERROR_COMMUNICATION, 'opening a file: the supplicant exited');
    }
    const handle = this.files.add(file);
    serving?.ifUnwanted(() => (this.files.remove(handle) ? this.close(file) : undefined));
    out.a = handle;
    return TeeResult.SUCCESS;
  }

  /** `leave` waits for the close, because the driver may have answered the request before it is complete. */
  private async close(file: ReeFile): Promise<void> {
    const closed = (async () => file.close())();
    this.closing.add(closed);
    try {
      await closed;
    } finally {
      this.closing.delete(closed);
    }
  }
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

/**
 * Check an offset. 64-bit words arrive as numbers, which are exact only below 2^53; a larger one could be another
 * offset than the one that was sent.
 */
function exact(offset: number): number {
  if (!Number.isSafeInteger(offset) || offset < 0) throw badRequest(`offset ${offset} is beyond 2^53 - 1`);
  return offset;
}

/** @throws TeecError STORAGE_NO_SPACE if the range exceeds the maximum file size. */
function withinFile(offset: number, length: number): number {
  if (exact(offset) + length > maxFileSize)
    throw commsError(
      TeeResult.ERROR_STORAGE_NO_SPACE,
      `a file of ${offset + length} bytes: at most ${maxFileSize} are allowed`,
    );
  return offset;
}

/** A name, terminated by its first zero. */
function nameAt(params: readonly TeeParam[], index: number): string {
  const memref = memrefAt(params, index, 'input');
  if (memref.size > maxNameSize) throw badRequest(`a file name of ${memref.size} bytes, at most ${maxNameSize}`);
  const bytes = bytesAt(params, index);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
