import { readSync } from 'node:fs';
import koffi from 'koffi';

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

/** As much as Linux gives to everybody. OP-TEE prints some 12 KB while it boots. */
const capacity = 1 << 20;

/**
 * What QEMU writes of OP-TEE's console, character by character: a pipe, the cheapest thing for it to write to, and read
 * only when somebody wants to know, as to be woken for each would cost more than the calls that print them. When nobody
 * does for a mebibyte, OP-TEE's next character waits.
 */
export class ConsolePipe implements Disposable {
  /** To be inherited by QEMU, which opens it as /proc/self/fd/N. */
  readonly fd: number;
  private readonly outlet: number;
  private readonly decoder = new TextDecoder();
  private readonly buffer = new Uint8Array(64 * 1024);
  /** A struct pollfd: descriptor, events asked for, events. */
  private readonly pollfd = new Int32Array(2);

  /** @throws Error naming the system call that failed. */
  constructor() {
    calls ??= loadCalls();
    const ends = [-1, -1];
    if (calls.pipe2(ends, O_NONBLOCK_CLOEXEC) < 0) throw new Error(`pipe2 failed: errno ${koffi.errno()}`);
    [this.outlet, this.fd] = ends as [number, number];
    // A user with many pipes is refused, and has 64 KiB then.
    calls.fcntl(this.fd, F_SETPIPE_SZ, capacity);
    this.pollfd.set([this.outlet, POLLIN]);
  }

  /** Whether something was written since the last time: about a microsecond, where a read of nothing costs twenty. */
  hasMore(): boolean {
    return calls !== undefined && calls.poll(this.pollfd, 1, 0) > 0;
  }

  /** What was written since the last time. */
  read(): string {
    let text = '';
    for (;;) {
      const length = this.readPiece();
      text += this.decoder.decode(this.buffer.subarray(0, length), { stream: true });
      if (length < this.buffer.length) return text;
    }
  }

  [Symbol.dispose](): void {
    // Not by Node, which in a worker counts the files that it opened itself.
    calls?.close(this.outlet);
    calls?.close(this.fd);
  }

  private readPiece(): number {
    try {
      return readSync(this.outlet, this.buffer);
    } catch (error) {
      // Nothing there.
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw error;
    }
  }
}
