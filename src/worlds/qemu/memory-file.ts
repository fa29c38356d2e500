import koffi from 'koffi';
import { systemError } from '../../processes/system-error.js';

// Linux's values (uapi linux/memfd.h, asm-generic/mman-common.h).
const MFD_CLOEXEC_ALLOW_SEALING = 0x1 | 0x2;
const F_ADD_SEALS = 1033;
/**
 * Seals: the size and the seals are fixed. A process that has the file can write it, but not unmap its pages by
 * truncation.
 */
const F_SEAL_SEAL_SHRINK_GROW = 0x1 | 0x2 | 0x4;
const PROT_READ_WRITE = 0x1 | 0x2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE_ANONYMOUS_NORESERVE_FIXED = 0x02 | 0x20 | 0x4000 | 0x10;

const loadCalls = () => {
  const libc = koffi.load(null);
  return {
    close: libc.func('int close(int fd)'),
    fcntl: libc.func('int fcntl(int fd, int command, int argument)'),
    ftruncate: libc.func('int ftruncate(int fd, int64_t length)'),
    memfdCreate: libc.func('int memfd_create(const char *name, unsigned int flags)'),
    mmap: libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)'),
  };
};
let calls: ReturnType<typeof loadCalls> | undefined;

/**
 * Memory shared with another process: an anonymous file (memfd), mapped here. It has no name, so nothing must be
 * removed; the kernel frees it when the last process that has it open or mapped ends. Its size is sealed: a process
 * could otherwise truncate it, and every process that has it mapped would get SIGBUS.
 */
export class MemoryFile implements Disposable {
  private constructor(
    /** Inherited by the other process, which opens the file as /proc/self/fd/N. */
    readonly fd: number,
    readonly size: number,
    private readonly address: bigint,
  ) {}

  /**
   * @param name shown in /proc.
   * @param size bytes, a multiple of the page size.
   * @throws Error naming the system call that failed.
   */
  static create(name: string, size: number): MemoryFile {
    calls ??= loadCalls();
    const fd: number = calls.memfdCreate(name, MFD_CLOEXEC_ALLOW_SEALING);
    if (fd < 0) throw systemError('memfd_create', koffi.errno());
    try {
      if (calls.ftruncate(fd, size) !== 0) throw systemError(`ftruncate to ${size} bytes`, koffi.errno());
      if (calls.fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL_SHRINK_GROW) !== 0)
        throw systemError('fcntl F_ADD_SEALS', koffi.errno());
      return new MemoryFile(fd, size, map(0n, size, MAP_SHARED, fd));
    } catch (error) {
      calls.close(fd);
      throw error;
    }
  }

  /** A view of a part of the memory. */
  view(offset: number, length: number): ArrayBuffer {
    if (!(offset >= 0 && length > 0 && offset + length <= this.size))
      throw new RangeError(`${length} bytes at ${offset} are outside a memory file of ${this.size} bytes`);
    return koffi.view(this.address + BigInt(offset), length);
  }

  /**
   * Release the memory. Views may outlive this: they then access private memory, because an access to an unmapped
   * address would end the process. The address range stays reserved, without memory.
   */
  [Symbol.dispose](): void {
    map(this.address, this.size, MAP_PRIVATE_ANONYMOUS_NORESERVE_FIXED, -1);
    // Closed directly, because a Node worker tracks only the descriptors that Node opened itself.
    calls?.close(this.fd);
  }
}

function map(address: bigint, size: number, flags: number, fd: number): bigint {
  calls ??= loadCalls();
  const mapped: bigint = BigInt.asIntN(64, calls.mmap(address, size, PROT_READ_WRITE, flags, fd, 0));
  if (mapped === -1n) throw systemError(`mmap of ${size} bytes`, koffi.errno());
  return mapped;
}
