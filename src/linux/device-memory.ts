import type { PhysicalMemory } from '../protocol/physical-memory.js';
import { TeeShm } from '../tee/tee-shm.js';
import { ShmAllocArg, ShmRegisterArg, ShmRegisterFdArg, TeeIoctlRequest } from '../uapi/tee.js';
import { SlotOperation } from './call-slot.js';
import type { CallThreads } from './call-threads.js';
import { errnoError } from './errno-error.js';
import { addressOf, memoryAt, unmap } from './system-calls.js';

/** Unmaps memory that is no longer referenced. */
const mappings = new FinalizationRegistry(
  ({ address, length }: { readonly address: number; readonly length: number }) => unmap(address, length),
);

/** Shared memory of an open device. Each piece has a descriptor in the kernel, and is released with it. */
export class DeviceMemory {
  private inUse = 0;

  constructor(private readonly threads: CallThreads) {}

  /** Bytes that this process shares. */
  get bytesInUse(): number {
    return this.inUse;
  }

  /**
   * TEE_IOC_SHM_ALLOC and mmap: memory whose pages secure world accesses directly. @param onRelease called when it is
   * released. @throws TeecError
   */
  async allocate(fd: number, size: number, onRelease: () => void = () => undefined): Promise<TeeShm> {
    const arg = Buffer.alloc(ShmAllocArg.size);
    arg.writeBigUInt64LE(BigInt(size), ShmAllocArg.length);
    const doing = `allocating ${size} bytes of shared memory`;
    const file = await this.make(fd, TeeIoctlRequest.shmAlloc, arg, doing);
    const length = Number(arg.readBigUInt64LE(ShmAllocArg.length));
    const mapped = await this.threads.run({ operation: SlotOperation.map, fd: file, size: length });
    if (mapped.result === -1) {
      await this.threads.run({ operation: SlotOperation.close, fd: file });
      throw errnoError(mapped.errno, `${doing}: mapping it`);
    }
    const memory = memoryAt(mapped.result, length);
    mappings.register(memory, { address: mapped.result, length });
    const release = { operation: SlotOperation.unshare, fd: file, request: mapped.result, size: length };
    return this.piece(arg.readInt32LE(ShmAllocArg.id), size, new Uint8Array(memory), release, onRelease);
  }

  /**
   * TEE_IOC_SHM_REGISTER: a buffer of the program, in place. @param onRelease called when it is released. @throws
   * TeecError
   */
  async register(fd: number, bytes: Uint8Array, onRelease: () => void = () => undefined): Promise<TeeShm> {
    const arg = Buffer.alloc(ShmRegisterArg.size);
    arg.writeBigUInt64LE(BigInt(addressOf(bytes)), ShmRegisterArg.address);
    arg.writeBigUInt64LE(BigInt(bytes.length), ShmRegisterArg.length);
    const file = await this.make(fd, TeeIoctlRequest.shmRegister, arg, `registering ${bytes.length} bytes of memory`);
    const release = { operation: SlotOperation.close, fd: file };
    return this.piece(arg.readInt32LE(ShmRegisterArg.id), bytes.length, bytes, release, onRelease);
  }

  /**
   * TEE_IOC_SHM_REGISTER_FD: the memory of another subsystem's descriptor (a dma-buf). This process does not map it.
   * @throws TeecError
   */
  async registerDescriptor(fd: number, descriptor: number): Promise<TeeShm> {
    const arg = Buffer.alloc(ShmRegisterFdArg.size);
    arg.writeBigInt64LE(BigInt(descriptor), ShmRegisterFdArg.fd);
    const doing = `registering the memory of descriptor ${descriptor}`;
    const file = await this.make(fd, TeeIoctlRequest.shmRegisterFd, arg, doing);
    const size = Number(arg.readBigUInt64LE(ShmRegisterFdArg.length));
    return this.piece(arg.readInt32LE(ShmRegisterFdArg.id), size, undefined, {
      ...{ operation: SlotOperation.close, fd: file },
    });
  }

  private async make(fd: number, request: number, arg: Buffer, doing: string): Promise<number> {
    const { result, errno } = await this.threads.run({ operation: SlotOperation.ioctl, fd, request, arg });
    if (result === -1) throw errnoError(errno, doing);
    return result;
  }

  /** @param bytes the memory in this process, if it is mapped. */
  private piece(
    kernelId: number,
    size: number,
    bytes: Uint8Array | undefined,
    release: {
      readonly operation: SlotOperation;
      readonly fd: number;
      readonly request?: number;
      readonly size?: number;
    },
    onRelease: () => void = () => undefined,
  ): TeeShm {
    this.inUse += size;
    return new TeeShm(kernelId, 'registered', size, 0, undefined, true, memoryOf(bytes), async () => {
      onRelease();
      const { result, errno } = await this.threads.run(release);
      this.inUse -= size;
      if (result === -1) throw errnoError(errno, `releasing ${size} bytes of shared memory`);
    });
  }
}

/** A piece of memory with addresses from 0. */
function memoryOf(bytes: Uint8Array | undefined): PhysicalMemory {
  return {
    window(address: number, size: number): Uint8Array {
      if (bytes === undefined) throw new RangeError('this process has not mapped this memory');
      return bytes.subarray(address, address + size);
    },
  } as PhysicalMemory;
}
