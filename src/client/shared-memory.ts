import type { TeeShm } from '../tee/tee-shm.js';
import { badParameters } from '../tee/teec-error.js';

/**
 * TEEC_SharedMemory: memory that both the client and trusted applications reach, until it is disposed of.
 *
 * Allocated memory is the very memory that secure world sees. Registered memory stands for a buffer of the client's
 * that lies elsewhere: its bytes are carried over before and after each call that uses them (TEE Client API, section
 * 4.3.4, allows either).
 */
export class SharedMemory implements AsyncDisposable {
  private disposed = false;

  /** Made by `Context.allocateSharedMemory` and `Context.registerSharedMemory`. */
  constructor(
    /** The client's bytes. In allocated memory they are live: a TA may change them at any moment of a call. */
    readonly bytes: Uint8Array,
    private readonly shmObject: TeeShm,
    private readonly registered: boolean,
    private readonly free: () => Promise<void>,
  ) {}

  /** Bytes. */
  get size(): number {
    return this.bytes.length;
  }

  /** For the session that uses it. @throws TeecError BAD_PARAMETERS when it is disposed of. */
  get shm(): TeeShm {
    if (this.disposed) throw badParameters('the shared memory is disposed of');
    return this.shmObject;
  }

  /** Carry the client's bytes to where secure world sees them. */
  copyIn(offset: number, size: number): void {
    if (this.registered) this.shm.write(offset, this.bytes.subarray(offset, offset + size));
  }

  /** Carry back what a TA wrote. */
  copyOut(offset: number, size: number): void {
    if (this.registered) this.shm.read(offset, this.bytes.subarray(offset, offset + size));
  }

  /** TEEC_ReleaseSharedMemory. Secure world forgets it; calls that use it keep it until they return. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.free();
  }
}
