import { closeSync, readSync } from 'node:fs';
import { createNamelessFile, discardStart } from './memory-file.js';

const mebibyte = 1 << 20;

/**
 * What QEMU writes of OP-TEE's console: a file in memory, read when somebody wants to know. As a pipe it would wake this
 * process for every character, which costs more than the calls that print them.
 */
export class ConsoleFile implements Disposable {
  /** To be inherited by QEMU, which opens it as /proc/self/fd/N. */
  readonly fd = createNamelessFile('normalworld-console');
  private readonly decoder = new TextDecoder();
  private readonly buffer = new Uint8Array(64 * 1024);
  private position = 0;
  private discarded = 0;

  /** What was written since the last time. */
  read(): string {
    let text = '';
    for (;;) {
      const length = readSync(this.fd, this.buffer, 0, this.buffer.length, this.position);
      if (length === 0) break;
      this.position += length;
      text += this.decoder.decode(this.buffer.subarray(0, length), { stream: true });
    }
    if (this.position - this.discarded >= mebibyte) {
      this.discarded = this.position - (this.position % mebibyte);
      discardStart(this.fd, this.discarded);
    }
    return text;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
