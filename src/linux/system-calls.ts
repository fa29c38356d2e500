import koffi from 'koffi';

/**
 * System calls that Node has none for, through the C library. Each can be told what to preload (LD_PRELOAD), as any
 * program's.
 */
const load = () => {
  const libc = koffi.load(null);
  return {
    open: libc.func('int open(const char *path, int flags)') as (path: string, flags: number) => number,
    close: libc.func('int close(int fd)') as (fd: number) => number,
    // Its third argument is passed as that of a function with three: so do the ABIs of x86-64 and arm64.
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

/** What a system call returned; with `errno` when it is -1. */
export interface Outcome {
  readonly result: number;
  readonly errno: number;
}

const outcome = (result: number): Outcome => ({ result, errno: result === -1 ? koffi.errno() : 0 });

export const openDevice = (path: string): Outcome => outcome(calls().open(path, O_RDWR | O_CLOEXEC));
export const closeFile = (fd: number): Outcome => outcome(calls().close(fd));
export const ioctl = (fd: number, request: number, argument: number): Outcome =>
  outcome(calls().ioctl(fd, request, argument));
/** The result is the address. */
export const mapShared = (fd: number, length: number): Outcome =>
  outcome(Number(calls().mmap(0n, length, PROT_READ_WRITE, MAP_SHARED, fd, 0)));
/** Pages of zeros that nobody shares, in the place of others. */
export const mapNothing = (address: number, length: number): Outcome =>
  outcome(Number(calls().mmap(BigInt(address), length, PROT_READ_WRITE, MAP_PRIVATE_FIXED_ANONYMOUS, -1, 0)));
export const unmap = (address: number, length: number): Outcome => outcome(calls().munmap(BigInt(address), length));
/** End the process at once, whatever its threads are in. */
export const exitNow = (status: number): void => calls().exit(status);

/** Where bytes lie, for the kernel. They must stay there: memory of an ArrayBuffer does while it is referred to. */
export function addressOf(bytes: Uint8Array): number {
  // A small array has no memory of its own before this is asked for.
  if (bytes.buffer.byteLength === 0) return 0;
  return Number(koffi.address(bytes) as bigint | number);
}

/** Memory at an address as an ArrayBuffer. */
export const memoryAt = (address: number, length: number): ArrayBuffer =>
  koffi.view(address, length) as unknown as ArrayBuffer;
