import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Tee } from '../client/tee.js';
import { startTimer } from '../clock/timer.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { type OptionNames, requireAmount, requireFunction, requireKnownOptions } from '../known-options.js';
import type { PhysicalMemoryFile } from '../protocol/secure-world.js';
import { show } from '../show.js';
import type { ClientIdentity } from '../tee/login.js';
import { TeecError } from '../tee/teec-error.js';
import { Connection, type Devices } from './connection.js';
import { type ClientFile, DeviceFile, type NewMemory } from './device-file.js';
import { Errno, ErrnoError, errnoOf } from './errno.js';
import { FairPlaces } from './fair-places.js';
import { ListeningPlace } from './listening-place.js';
import { MemoryIds } from './memory-ids.js';
import { describeSharing } from './sharing.js';
import { SupplicantFile } from './supplicant-file.js';
import { TemporaryFolder } from './temporary-folder.js';
import { credentialsOf, peerOf } from './unix-socket.js';
import { greeting } from './wire.js';

/**
 * Largest number of descriptors for clients. An open device needs two (its connection and its door); each piece of
 * shared memory and each call in flight needs one.
 */
const maxDescriptors = 8192;
/** Descriptors left for everything else: loading TAs, files of secure storage, sockets of TAs. */
const spareDescriptors = 256;

/** Largest number of rejected connections that are answered with an errno at a time. */
const maxRefused = 64;
/** Time that such a client has to close its side, in milliseconds. */
const refusalMs = 1000;

/** Time that calls of disconnected clients have to return, in milliseconds. */
const graceMs = 3000;

export interface ServeOptions {
  /** Path of the socket; in a new private folder when left out. */
  readonly path?: string;
  /**
   * Longest time that a client may take to send one request, in milliseconds (default 30,000). After that the
   * connection is closed.
   */
  readonly requestLimitMs?: number;
  /** Called for errors that no client caused. By default the error becomes an uncaught exception. */
  readonly onError?: (error: unknown) => void;
}

const names: OptionNames<ServeOptions> = { path: true, requestLimitMs: true, onError: true };

/**
 * Offers a TEE to other processes as `/dev/tee0`, over a Unix socket. Clients use it through the preload library
 * (`preload/`).
 */
export class TeeServer implements AsyncDisposable, Devices {
  private readonly files = new Map<string, ClientFile>();
  private readonly sockets = new Set<Socket>();
  /** Rejected connections that are being answered with an errno. */
  private readonly refused = new Set<Socket>();
  private readonly memoryIds = new MemoryIds();
  /** By process, so that one process cannot use up all places. */
  private readonly places = new FairPlaces<number>(
    Math.min(maxDescriptors, Math.max(16, descriptorLimit() - spareDescriptors)),
  );
  private openings = 0;
  private onEmpty: (() => void) | undefined;

  private constructor(
    private readonly tee: Tee,
    private readonly server: Server,
    readonly memoryFile: PhysicalMemoryFile,
    private readonly place: ListeningPlace,
    private readonly folder: TemporaryFolder | undefined,
    readonly requestLimitMs: number,
    readonly failed: (error: unknown) => void,
  ) {
    server.on('connection', (socket) => {
      // The socket's mode keeps other users away, except for a moment before the mode is set.
      if (mayConnect(socket)) this.admit(socket);
      else socket.destroy();
    });
  }

  /**
   * @throws RangeError if the path is too long for a socket, or if the TEE's memory cannot be shared with another
   * process in pages.
   * @throws TypeError naming an invalid option.
   * @throws Error saying what prevents listening.
   */
  static async listen(tee: Tee, options: ServeOptions = {}): Promise<TeeServer> {
    requireKnownOptions('TeeServer', options, names);
    const { path, requestLimitMs = 30_000, onError = throwUncaught } = options;
    if (path !== undefined && typeof path !== 'string')
      throw new TypeError(`TeeServer: path must be the path of a socket, not ${show(path)}`);
    requireAmount('TeeServer', 'requestLimitMs', requestLimitMs);
    requireFunction('TeeServer', 'onError', onError);
    const { memoryFile } = tee;
    if (memoryFile === undefined)
      throw new RangeError('the memory of this TEE is not in a file that other processes can map');
    if (!tee.device.version.registeredMemory)
      throw new RangeError('this TEE has no dynamic shared memory: its reserved memory cannot be mapped page by page');
    const folder = path === undefined ? new TemporaryFolder('normalworld-') : undefined;
    const server = createServer();
    let place: ListeningPlace;
    try {
      place = await ListeningPlace.listen(server, path ?? join(folder?.path ?? '', 'tee0'));
    } catch (error) {
      folder?.[Symbol.dispose]();
      throw error;
    }
    return new TeeServer(tee, server, memoryFile, place, folder, requestLimitMs, onError);
  }

  /** The socket's absolute path, for NORMALWORLD_SOCKET of clients. Only its owner can connect. */
  get path(): string {
    return this.place.path;
  }

  /** Number of device files that are open, or that still have calls or memory. */
  get openFiles(): number {
    return this.files.size;
  }

  /** Names of their clients, as in traces. */
  get clients(): readonly string[] {
    return [...this.files.values()].map(({ label }) => label);
  }

  open(name: string, socket: Socket): ClientFile {
    const { pid, identity } = peerOf(socket);
    const file = this.make(name, pid, identity);
    this.files.set(file.token, file);
    return file;
  }

  admit(socket: Socket): void {
    try {
      this.takePlace(socket);
    } catch (error) {
      this.refuse(socket, errnoOf(error));
      return;
    }
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    new Connection(this, socket);
  }

  takePlace(socket: Socket): void {
    const place = this.places.take(credentialsOf(socket).pid);
    if (place === 'none left') throw new ErrnoError(Errno.ENFILE, 'too many descriptors of clients');
    if (place === 'share used up') throw new ErrnoError(Errno.EMFILE, 'too many descriptors of one process');
    socket.once('close', () => place[Symbol.dispose]());
  }

  /** Answer with an errno and close. A client that does not close its side is disconnected after `refusalMs`. */
  private refuse(socket: Socket, errno: number): void {
    socket.on('error', () => undefined);
    if (this.refused.size >= maxRefused) {
      socket.destroy();
      return;
    }
    this.refused.add(socket);
    const unlimit = startTimer(refusalMs, () => socket.destroy(), { background: true });
    socket.once('close', () => {
      unlimit();
      this.refused.delete(socket);
    });
    // The request is not read.
    socket.resume().end(greeting(-errno));
  }

  find(token: string): ClientFile {
    const file = this.files.get(token);
    if (file === undefined) throw new ErrnoError(Errno.EBADF, 'no such device file');
    return file;
  }

  made(file: ClientFile, { id, size, sharing }: NewMemory): void {
    const { trace } = this.tee;
    if (trace.on && sharing !== undefined)
      trace.emit({
        type: 'mark',
        text: `${file.label}: its buffer is memory ${id}, ${size} bytes, ${describeSharing(sharing, size)}`,
      });
  }

  /**
   * Disconnect all clients, as if they had died. Resolves when their resources are released, or after three seconds;
   * closing the TEE then releases the rest.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of [...this.sockets, ...this.refused]) socket.destroy();
    await closed;
    if (this.files.size > 0)
      await new Promise<void>((resolve) => {
        const cancel = startTimer(graceMs, resolve);
        this.onEmpty = () => {
          cancel();
          resolve();
        };
      });
    this.place[Symbol.dispose]();
    this.folder?.[Symbol.dispose]();
  }

  private make(name: string, pid: number, identity: ClientIdentity): ClientFile {
    const { device, supplicantDevice } = this.tee;
    const onEnd = (ended: Promise<void>) => this.fileEnds(file, ended);
    let file: ClientFile;
    switch (name) {
      case 'tee0':
        file = new DeviceFile(
          { device, callLimitMs: this.tee.callLimitMs, ids: this.memoryIds },
          `client ${++this.openings} (process ${pid})`,
          identity,
          onEnd,
        );
        return file;
      case 'teepriv0':
        file = new SupplicantFile(supplicantDevice, `supplicant (process ${pid})`, this.memoryIds, onEnd);
        return file;
      default:
        throw new ErrnoError(Errno.ENOENT, `no device ${name}`);
    }
  }

  private fileEnds(file: ClientFile, ended: Promise<void>): void {
    void ended
      .catch((error: unknown) => {
        // Secure world has ended, and its resources with it.
        if (!(error instanceof TeecError)) this.failed(error);
      })
      .finally(() => {
        this.files.delete(file.token);
        if (this.files.size === 0) this.onEmpty?.();
      });
  }
}

function mayConnect(socket: Socket): boolean {
  try {
    const { uid } = credentialsOf(socket);
    return uid === 0 || uid === process.geteuid?.();
  } catch {
    // The peer has already disconnected.
    return false;
  }
}

/** RLIMIT_NOFILE of this process. */
function descriptorLimit(): number {
  const [, limit] = /^Max open files +(\d+)/m.exec(readRegularFileSync('/proc/self/limits').toString()) ?? [];
  return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
}

function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
