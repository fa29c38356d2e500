import koffi from 'koffi';

/** System calls that Node does not have, through the C library, so that LD_PRELOAD works as for any program. */
const load = () => {
  const libc = koffi.load(null);
  return {
    open: libc.func('int open(const char *path, int flags)') as (path: string, flags: number) => number,
    close: libc.func('int close(int fd)') as (fd: number) => number,
    // The third argument is passed as in a function without varargs; the ABIs of x86-64 and arm64 do the same.
    ioctl: libc.func('int ioctl(int fd, unsigned long request, uint64_t argument)') as (
      fd: number,
      request: number,
      argument: number,
    ) => number,
    mmap: libc.func('int64_t mmap(uint64_t address, size_t length, int prot, int flags, int fd, int64_t offset)') as (
      address: bigint,
      length: number,
      prot: number,
      flags: number,
      fd: number,
      offset: number,
    ) => number | bigint,
    munmap: libc.func('int munmap(uint64_t address, size_t length)') as (address: bigint, length: number) => number,
    gettid: libc.func('int gettid()') as () => number,
    exit: libc.func('void _exit(int status)') as (status: number) => void,
  };
};
let loaded: ReturnType<typeof load> | undefined;
const calls = () => {
  loaded ??= load();
  return loaded;
};

/** asm-generic/fcntl.h, asm-generic/mman-common.h, asm-generic/mman.h; the same on x86-64 and arm64. */
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_FIXED_ANONYMOUS = 2 | 0x10 | 0x20;

/** The result of a system call, with `errno` if it is -1. */
export interface Outcome {
  readonly result: number;
  readonly errno: number;
}

const outcome = (result: number): Outcome => ({ result, errno: result === -1 ? koffi.errno() : 0 });

export const openDevice = (path: string): Outcome => outcome(calls().open(path, O_RDWR | O_CLOEXEC));
export const closeFile = (fd: number): Outcome => outcome(calls().close(fd));
export const ioctl = (fd: number, request: number, argument: number): Outcome =>
  outcome(calls().ioctl(fd, request, argument));
/** mmap with MAP_SHARED. The result is the address. */
export const mapShared = (fd: number, length: number): Outcome =>
  outcome(Number(calls().mmap(0n, length, PROT_READ_WRITE, MAP_SHARED, fd, 0)));
/** Replace a mapping with private zero pages. */
export const mapNothing = (address: number, length: number): Outcome =>
  outcome(Number(calls().mmap(BigInt(address), length, PROT_READ_WRITE, MAP_PRIVATE_FIXED_ANONYMOUS, -1, 0)));
export const unmap = (address: number, length: number): Outcome => outcome(calls().munmap(BigInt(address), length));
/** The kernel's id of the calling thread. */
export const threadId = (): number => calls().gettid();
/** End the process at once, whatever its threads are doing. */
export const exitNow = (status: number): void => calls().exit(status);

/** The address of bytes, for the kernel. The memory of an ArrayBuffer does not move while it is referenced. */
export function addressOf(bytes: Uint8Array): number {
  // A small typed array has no ArrayBuffer until `buffer` is read.
  if (bytes.buffer.byteLength === 0) return 0;
  return Number(koffi.address(bytes) as bigint | number);
}

/** An ArrayBuffer over memory at an address. */
export const memoryAt = (address: number, length: number): ArrayBuffer =>
  koffi.view(address, length) as unknown as ArrayBuffer;
