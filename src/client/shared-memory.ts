import type { TeeShm } from '../tee/tee-shm.js';
import { badParameters } from '../tee/teec-error.js';
import type { RegisteredBuffer } from './registered-buffer.js';

/**
 * TEEC_SharedMemory: memory that both the client and trusted applications reach, until it is disposed of.
 *
 * Allocated memory is the very memory that secure world sees. Registered memory stands for a buffer of the client's
 * that lies elsewhere: before and after each call that uses it, what one side has changed is carried to the other (TE
 * Client API, section 4.3.4, allows copies). Calls at the same time, a buffer that is registered twice, and the client's
 * own writes during a call lose nothing; but the TA does not see those before the next call, nor the client the TA's
 * before this one ends. In world `linux` the kernel shares the very pages of the buffer, and nothing is copied.
 */
export class SharedMemory implements AsyncDisposable {
  private disposed = false;

  /** Made by `Context.allocateSharedMemory` and `Context.registerSharedMemory`. */
  constructor(
    /** The client's bytes. In allocated memory they are live: a TA may change them at any moment of a call. */
    readonly bytes: Uint8Array,
    private readonly shmObject: TeeShm,
    private readonly registered: RegisteredBuffer | undefined,
    private readonly free: () => Promise<void>,
    /** Of memory that this process does not see. */
    private readonly unseenSize = 0,
  ) {}

  /** Bytes. */
  get size(): number {
    return this.unseenSize === 0 ? this.bytes.length : this.unseenSize;
  }

  /** For the session that uses it. @throws TeecError BAD_PARAMETERS when it is disposed of. */
  get shm(): TeeShm {
    if (this.disposed) throw badParameters('the shared memory has been disposed');
    return this.shmObject;
  }

  /** Carry what the client changed to where secure world sees it. */
  carryIn(offset: number, size: number): void {
    this.registered?.carryIn(offset, size);
  }

  /** Carry back what trusted applications changed. */
  carryOut(offset: number, size: number): void {
    this.registered?.carryOut(offset, size);
  }

  /** TEEC_ReleaseSharedMemory. Secure world forgets it; calls that use it keep it until they return. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.free();
  }
}
