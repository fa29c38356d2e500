import { RpcCommand, RpcFs } from '../../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../../protocol/tee-result.js';
import type { Core } from '../core/core.js';
import type { Mobj } from '../memory/mobj.js';
import type { RpcParameter } from '../rpc/thread-rpc.js';
import { fileCache, rpcCommand, rpcMemref, rpcValue } from '../rpc/thread-rpc.js';
import type { Routine } from '../threads/routine.js';
import type { Thread } from '../threads/thread.js';
import { TeeError } from './tee-error.js';

/** TEE_FS_NAME_MAX: size in bytes of the buffer for a zero-terminated file name. */
const nameMax = 350;

/**
 * Files in the normal world's storage, by OPTEE_RPC_CMD_FS: core/tee/tee_fs_rpc.c. The data is untrusted, because the
 * storage belongs to the normal world. Every method rejects with a `TeeError` of the code that the normal world
 * returned.
 */
export class FsRpc {
  constructor(
    private readonly core: Core,
    private readonly thread: Thread,
    private readonly run: <T>(routine: Routine<T>) => Promise<T>,
  ) {}

  /** Open an existing file. Resolves with its descriptor. */
  open(name: string): Promise<number> {
    return this.run(this.openFile(RpcFs.open, name));
  }

  /** Create a file, or truncate the existing one. Resolves with its descriptor. */
  create(name: string): Promise<number> {
    return this.run(this.openFile(RpcFs.create, name));
  }

  close(descriptor: number): Promise<void> {
    return this.run(this.command([rpcValue('input', RpcFs.close, descriptor)]));
  }

  /** Read up to `length` bytes from `offset`; fewer at the end of the file. */
  read(descriptor: number, offset: number, length: number): Promise<Uint8Array> {
    return this.run(this.readFile(descriptor, offset, length));
  }

  write(descriptor: number, offset: number, data: Uint8Array): Promise<void> {
    return this.run(this.writeFile(descriptor, offset, data));
  }

  truncate(descriptor: number, length: number): Promise<void> {
    return this.run(this.command([rpcValue('input', RpcFs.truncate, descriptor, length)]));
  }

  remove(name: string): Promise<void> {
    return this.run(this.removeFile(name));
  }

  private *openFile(operation: number, name: string): Routine<number> {
    const mobj = yield* this.buffer(nameMax);
    writeName(mobj, name);
    const descriptor = rpcValue('output');
    yield* this.command([rpcValue('input', operation), rpcMemref('input', mobj, nameMax), descriptor]);
    return descriptor.a;
  }

  private *readFile(descriptor: number, offset: number, length: number): Routine<Uint8Array> {
    const mobj = yield* this.buffer(length);
    const data = rpcMemref('output', mobj, length);
    yield* this.command([rpcValue('input', RpcFs.read, descriptor, offset), data]);
    if (!(data.size <= length)) throw new TeeError(TeeResult.ERROR_BAD_FORMAT, `${data.size} bytes read of ${length}`);
    return mobj.read(0, data.size);
  }

  private *writeFile(descriptor: number, offset: number, data: Uint8Array): Routine<void> {
    const mobj = yield* this.buffer(data.length);
    mobj.write(data);
    yield* this.command([rpcValue('input', RpcFs.write, descriptor, offset), rpcMemref('input', mobj, data.length)]);
  }

  private *removeFile(name: string): Routine<void> {
    const mobj = yield* this.buffer(nameMax);
    writeName(mobj, name);
    yield* this.command([rpcValue('input', RpcFs.remove), rpcMemref('input', mobj, nameMax)]);
  }

  private *buffer(size: number): Routine<Mobj> {
    const mobj = yield* fileCache(this.core, this.thread, size);
    if (mobj === undefined) throw new TeeError(TeeResult.ERROR_OUT_OF_MEMORY);
    return mobj;
  }

  private *command(parameters: RpcParameter[]): Routine<void> {
    const result = yield* rpcCommand(this.core, this.thread, RpcCommand.fs, parameters);
    if (result !== TeeResult.SUCCESS) throw new TeeError(result);
  }
}

function writeName(mobj: Mobj, name: string): void {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length >= nameMax) throw new TeeError(TeeResult.ERROR_SHORT_BUFFER, `file name of ${bytes.length} bytes`);
  const buffer = new Uint8Array(nameMax);
  buffer.set(bytes);
  mobj.write(buffer);
}
