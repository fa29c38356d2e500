import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Tee } from '../client/tee.js';
import type { PhysicalMemoryFile } from '../protocol/secure-world.js';
import { TeecError } from '../tee/teec-error.js';
import { Connection, checkDeviceName, type Devices } from './connection.js';
import { DeviceFile, type NewMemory } from './device-file.js';
import { Errno, ErrnoError } from './errno.js';
import { describeSharing } from './sharing.js';
import { peerOf } from './unix-socket.js';

/** Connections at a time: each open device, each piece of shared memory, each call in flight has one. */
const maxConnections = 8192;

export interface ServeOptions {
  /** Where the socket is made; in a new private folder when left out. */
  readonly path?: string;
  /** Something failed that no client can be blamed for. By default the error becomes an uncaught exception. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Offers a TEE to other processes as the kernel would: as `/dev/tee0`, over a Unix socket. They come through the preload
 * library (`preload/`).
 */
export class TeeServer implements AsyncDisposable, Devices {
  private readonly files = new Map<string, DeviceFile>();
  private readonly sockets = new Set<Socket>();
  private openings = 0;
  private onEmpty: (() => void) | undefined;

  private constructor(
    private readonly tee: Tee,
    private readonly server: Server,
    readonly memoryFile: PhysicalMemoryFile,
    /** The socket: NORMALWORLD_SOCKET of the clients. Its owner alone can use it. */
    readonly path: string,
    private readonly ownFolder: boolean,
    readonly failed: (error: unknown) => void,
  ) {
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
      new Connection(this, socket);
    });
  }

  /**
   * @throws Error when the socket cannot be made.
   * @throws RangeError when the TEE's memory cannot be shared with another process in pages.
   */
  static async listen(tee: Tee, options: ServeOptions = {}): Promise<TeeServer> {
    const { memoryFile } = tee;
    if (memoryFile === undefined)
      throw new RangeError('the memory of this TEE is in no file that other processes could map');
    if (!tee.device.version.registeredMemory)
      throw new RangeError('this TEE has no dynamic shared memory: what it has cannot be mapped page by page');
    const path = options.path ?? join(mkdtempSync(join(tmpdir(), 'normalworld-')), 'tee0');
    const server = createServer();
    server.maxConnections = maxConnections;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      // The socket is made by this call, before it returns.
      const before = process.umask(0o177);
      try {
        server.listen(path, resolve);
      } finally {
        process.umask(before);
      }
    });
    chmodSync(path, 0o600);
    return new TeeServer(
      tee,
      server,
      memoryFile,
      path,
      options.path === undefined,
      options.onError ??
        ((error) => {
          queueMicrotask(() => {
            throw error;
          });
        }),
    );
  }

  /** Device files that are open, or still have calls or memory. */
  get openFiles(): number {
    return this.files.size;
  }

  open(name: string, socket: Socket): DeviceFile {
    checkDeviceName(name);
    const { pid, identity } = peerOf(socket);
    const label = `client ${++this.openings} (process ${pid})`;
    const file = new DeviceFile(this.tee.device, label, identity, (ended) => this.fileEnds(file, ended));
    this.files.set(file.token, file);
    return file;
  }

  find(token: string): DeviceFile {
    const file = this.files.get(token);
    if (file === undefined) throw new ErrnoError(Errno.EBADF, 'no such device file');
    return file;
  }

  made(file: DeviceFile, { id, size, sharing }: NewMemory): void {
    const { trace } = this.tee;
    if (trace.on && sharing !== undefined)
      trace.emit({
        type: 'mark',
        text: `${file.label}: its buffer is memory ${id}, ${size} bytes, ${describeSharing(sharing, size)}`,
      });
  }

  /** End every connection, as if all clients had died; resolves when nothing of them is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
    if (this.files.size > 0)
      await new Promise<void>((resolve) => {
        this.onEmpty = resolve;
      });
    if (this.ownFolder) rmSync(dirname(this.path), { recursive: true, force: true });
  }

  private fileEnds(file: DeviceFile, ended: Promise<void>): void {
    void ended
      .catch((error: unknown) => {
        // Secure world has gone; what it had is gone too.
        if (!(error instanceof TeecError)) this.failed(error);
      })
      .finally(() => {
        this.files.delete(file.token);
        if (this.files.size === 0) this.onEmpty?.();
      });
  }
}
