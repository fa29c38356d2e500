import type { TeeShm } from '../tee/tee-shm.js';
import { carryDifferences, type Side } from './carry-differences.js';
import { equalBytes } from './equal-bytes.js';
import { beforeWriting } from './temporary-memory.js';

/**
 * A buffer of the client, and the shared memory that stands for it. Both sides may write at any time, also during
 * several calls at once. So only the bytes that a side changed since the last agreement are copied to the other side,
 * and no write is lost. If both sides change the same byte during one call, one of the two values remains.
 */
export class RegisteredBuffer {
  /** The bytes of the last agreement; zeros at first, like new shared memory. */
  private readonly agreed: Uint8Array;
  private readonly shmSide: Side;
  /** Whether other threads of this process can write the client's bytes at any moment. */
  private readonly ofManyThreads: boolean;
  private readonly clientSide: Side;

  constructor(
    readonly bytes: Uint8Array,
    readonly shm: TeeShm,
  ) {
    this.agreed = new Uint8Array(bytes.length);
    this.shmSide = {
      read: (offset, data) => shm.read(offset, data),
      write: (offset, data) => shm.write(offset, data),
      equals: (offset, data) => shm.everyPiece(offset, data, equalBytes),
    };
    this.ofManyThreads = !(bytes.buffer instanceof ArrayBuffer);
    this.clientSide = {
      equals: (offset, data) => equalBytes(bytes.subarray(offset, offset + data.length), data),
      read: (offset, data) => data.set(bytes.subarray(offset, offset + data.length)),
      write: (offset, data) => bytes.set(data, offset),
    };
  }

  /** Copy the client's changes into the shared memory. */
  carryIn(offset: number, size: number): void {
    // If no call uses the memory, no TA can write it.
    carryDifferences(this.clientSide, this.agreed, this.shmSide, offset, this.left(offset, size), this.shm.unshared);
  }

  /** Copy the changes of trusted applications into the client's buffer. */
  carryOut(offset: number, size: number): void {
    const left = this.left(offset, size);
    beforeWriting(this.bytes, offset, left);
    carryDifferences(this.shmSide, this.agreed, this.clientSide, offset, left, !this.ofManyThreads);
  }

  /** The accessible size. A buffer that was transferred, to a worker for example, has no bytes left. */
  private left(offset: number, size: number): number {
    return Math.min(size, Math.max(0, this.bytes.length - offset));
  }
}

/** The buffers that a context has registered. Registering the same buffer again gives the same shared memory. */
export class RegisteredBuffers {
  private readonly byMemory = new Map<ArrayBufferLike, Registration[]>();

  /** @param register makes shared memory of `size` bytes. */
  constructor(
    private readonly register: (size: number) => Promise<TeeShm>,
    private readonly free: (shm: TeeShm) => Promise<void>,
  ) {}

  async add(bytes: Uint8Array): Promise<{ readonly buffer: RegisteredBuffer; readonly remove: () => Promise<void> }> {
    const same = this.byMemory.get(bytes.buffer) ?? [];
    this.byMemory.set(bytes.buffer, same);
    let registration = same.find(
      ({ byteOffset, length }) => byteOffset === bytes.byteOffset && length === bytes.length,
    );
    if (registration === undefined) {
      registration = {
        byteOffset: bytes.byteOffset,
        length: bytes.length,
        uses: 0,
        buffer: this.register(bytes.length).then((shm) => new RegisteredBuffer(bytes, shm)),
      };
      same.push(registration);
    }
    const found = registration;
    found.uses++;
    const buffer = await found.buffer.catch((error: unknown) => {
      this.forget(bytes.buffer, found);
      throw error;
    });
    return {
      buffer,
      remove: async () => {
        found.uses--;
        if (found.uses > 0) return;
        this.forget(bytes.buffer, found);
        await this.free(buffer.shm);
      },
    };
  }

  private forget(memory: ArrayBufferLike, registration: Registration): void {
    const rest = (this.byMemory.get(memory) ?? []).filter((other) => other !== registration);
    if (rest.length === 0) this.byMemory.delete(memory);
    else this.byMemory.set(memory, rest);
  }
}

interface Registration {
  readonly byteOffset: number;
  readonly length: number;
  /** The number of `SharedMemory` objects that use it. */
  uses: number;
  readonly buffer: Promise<RegisteredBuffer>;
}
