import type { TeeShm } from '../tee/tee-shm.js';
import { badParameters } from '../tee/teec-error.js';
import type { RegisteredBuffer } from './registered-buffer.js';

/**
 * TEEC_SharedMemory: memory that the client and trusted applications can access, until it is disposed of.
 *
 * Allocated memory is the memory that secure world accesses. Registered memory stands for a buffer of the client at
 * another address: before and after each call that uses it, the changes of each side are copied to the other (TEE
 * Client API, section 4.3.4, allows copies). No write is lost, also with concurrent calls, with a buffer that is
 * registered twice, and with writes of the client during a call. But the TA sees a write of the client only in the next
 * call, and the client sees a write of the TA only after the call. In world `linux` the kernel shares the pages of the
 * buffer; nothing is copied.
 */
export class SharedMemory implements AsyncDisposable {
  private disposed = false;

  /** Made by `Context.allocateSharedMemory` and `Context.registerSharedMemory`. */
  constructor(
    /** The client's bytes. For allocated memory this is a view: a TA may change the bytes at any moment of a call. */
    readonly bytes: Uint8Array,
    private readonly shmObject: TeeShm,
    private readonly registered: RegisteredBuffer | undefined,
    private readonly free: () => Promise<void>,
    /** The size of memory that this process cannot access. */
    private readonly unseenSize = 0,
  ) {}

  /** Bytes. */
  get size(): number {
    return this.unseenSize === 0 ? this.bytes.length : this.unseenSize;
  }

  /** The shared memory object, for sessions. @throws TeecError BAD_PARAMETERS after it was disposed of. */
  get shm(): TeeShm {
    if (this.disposed) throw badParameters('the shared memory has been disposed');
    return this.shmObject;
  }

  /** Copy the client's changes into the shared memory. */
  carryIn(offset: number, size: number): void {
    this.registered?.carryIn(offset, size);
  }

  /** Copy the changes of trusted applications into the client's buffer. */
  carryOut(offset: number, size: number): void {
    this.registered?.carryOut(offset, size);
  }

  /** TEEC_ReleaseSharedMemory. Secure world unregisters it. Calls that use it keep it until they return. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.free();
  }
}
