import { readSync } from 'node:fs';
import koffi from 'koffi';
import { systemError } from '../../processes/system-error.js';

// Linux's values (uapi asm-generic/fcntl.h, linux/fcntl.h).
const O_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const F_SETPIPE_SZ = 1031;
const POLLIN = 1;

const loadCalls = () => {
  const libc = koffi.load(null);
  return {
    close: libc.func('int close(int fd)'),
    pipe2: libc.func('int pipe2(_Out_ int *fds, int flags)'),
    fcntl: libc.func('int fcntl(int fd, int command, int argument)'),
    poll: libc.func('int poll(void *fds, unsigned long count, int timeout)'),
  };
};
let calls: ReturnType<typeof loadCalls> | undefined;

/** The size that Linux allows to every user. OP-TEE prints about 12 KB while it boots. */
const capacity = 1 << 20;

/**
 * The pipe into which QEMU writes OP-TEE's console output, character by character. A pipe is the cheapest target for
 * QEMU. It is read on demand only, because a wake-up for each character would cost more than the calls that print them.
 * If nothing reads it, OP-TEE's output blocks after one mebibyte.
 */
export class ConsolePipe implements Disposable {
  /** Inherited by QEMU, which opens it as /proc/self/fd/N. */
  readonly fd: number;
  private readonly outlet: number;
  private readonly decoder = new TextDecoder();
  private readonly buffer = new Uint8Array(64 * 1024);
  /** A struct pollfd: descriptor, requested events, returned events. */
  private readonly pollfd = new Int32Array(2);

  /** @throws Error naming the system call that failed. */
  constructor() {
    calls ??= loadCalls();
    const ends = [-1, -1];
    if (calls.pipe2(ends, O_NONBLOCK_CLOEXEC) < 0) throw systemError('pipe2', koffi.errno());
    [this.outlet, this.fd] = ends as [number, number];
    // The kernel refuses this to a user with many pipes; the pipe then has 64 KiB.
    calls.fcntl(this.fd, F_SETPIPE_SZ, capacity);
    this.pollfd.set([this.outlet, POLLIN]);
  }

  /** Whether there is new output. This takes about a microsecond; a read without data takes twenty. */
  hasMore(): boolean {
    return calls !== undefined && calls.poll(this.pollfd, 1, 0) > 0;
  }

  /** The output since the last call. */
  read(): string {
    let text = '';
    for (;;) {
      const length = this.readPiece();
      text += this.decoder.decode(this.buffer.subarray(0, length), { stream: true });
      if (length < this.buffer.length) return text;
    }
  }

  [Symbol.dispose](): void {
    // Closed directly, because a Node worker tracks only the descriptors that Node opened itself.
    calls?.close(this.outlet);
    calls?.close(this.fd);
  }

  private readPiece(): number {
    try {
      return readSync(this.outlet, this.buffer);
    } catch (error) {
      // No data.
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw error;
    }
  }
}
