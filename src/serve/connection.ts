import type { Socket } from 'node:net';
import { startTimer } from '../clock/timer.js';
import type { PhysicalMemoryFile } from '../protocol/secure-world.js';
import { TeecError } from '../tee/teec-error.js';
import type { Call, ClientFile, NewMemory } from './device-file.js';
import { Door } from './door.js';
import { errnoOf } from './errno.js';
import { peerOf, sendWithFile } from './unix-socket.js';
import { FileKind, greeting, Operation, type Request, RequestReader, reply, WireError } from './wire.js';

/** The server's interface for connections. */
export interface Devices {
  readonly memoryFile: PhysicalMemoryFile;
  /** @throws ErrnoError ENOENT, EBUSY */
  open(name: string, socket: Socket): ClientFile;
  /** Admit a further connection of a client with an open file. */
  admit(socket: Socket): void;
  /** Reserve a place for one more descriptor, until the connection closes. @throws ErrnoError ENFILE, EMFILE */
  takePlace(socket: Socket): void;
  /** @throws ErrnoError EBADF if no file has this token. */
  find(token: string): ClientFile;
  /** Longest time for a client to send a request, in milliseconds. */
  readonly requestLimitMs: number;
  /** Called after memory was created, for traces. */
  made(file: ClientFile, memory: NewMemory): void;
  failed(error: unknown): void;
}

/**
 * One connection of a client. Its first request selects its role: a file, which closes with the connection, or a
 * channel for consecutive requests.
 */
export class Connection {
  private readonly reader = new RequestReader();
  private role: 'new' | 'file' | 'channel' = 'new';
  private busy = false;
  private call: Call | undefined;
  /** Only for device files. */
  private door: Door | undefined;
  /** Cancels the timeout of the request that is being received. */
  private unlimit: (() => void) | undefined;

  constructor(
    private readonly devices: Devices,
    private readonly socket: Socket,
  ) {
    socket.on('data', (bytes) => this.receive(bytes));
    // The 'close' event follows and ends the connection.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.unlimit?.();
      this.call?.abandon();
    });
    this.expectRequest();
  }

  private receive(bytes: Buffer): void {
    if (this.role === 'file') {
      // A byte announces connections at the door. Data on a file without a door is ignored.
      if (this.door !== undefined) for (const socket of this.door.take()) this.devices.admit(socket);
      return;
    }
    try {
      if (this.busy) throw new WireError('unexpected bytes');
      const request = this.reader.push(bytes);
      if (request === undefined) {
        this.expectRequest();
        return;
      }
      this.unlimit?.();
      this.unlimit = undefined;
      this.busy = true;
      void this.serve(request)
        .catch((error: unknown) => {
          this.socket.destroy();
          if (!(error instanceof WireError)) this.devices.failed(error);
        })
        .finally(() => {
          this.busy = false;
        });
    } catch (error) {
      this.socket.destroy();
      if (!(error instanceof WireError)) this.devices.failed(error);
    }
  }

  /**
   * Start the timeout for the first request, or for one of which a part has arrived. A client that does not send it
   * loses its connection.
   */
  private expectRequest(): void {
    this.unlimit ??= startTimer(this.devices.requestLimitMs, () => this.socket.destroy(), { background: true });
  }

  private serve(request: Request): Promise<void> {
    const { operation } = request;
    const makesFile =
      operation === Operation.openDevice || operation === Operation.shmAlloc || operation === Operation.shmRegister;
    if (makesFile && this.role !== 'new') throw new WireError('a file is requested on a connection that is a channel');
    this.role = makesFile ? 'file' : 'channel';
    if (operation === Operation.openDevice) return this.openDevice(request);
    return makesFile ? this.makeSharedMemory(request) : this.ioctl(request);
  }

  private async openDevice({ body }: Request): Promise<void> {
    try {
      // A place for the door's descriptor.
      this.devices.takePlace(this.socket);
      const file = this.devices.open(body.toString('latin1'), this.socket);
      this.socket.once('close', () => file.close());
      const door = new Door();
      this.door = door;
      this.socket.once('close', () => door[Symbol.dispose]());
      door.sendWith(this.socket, greeting({ kind: FileKind.device, token: file.token, id: 0, offset: 0, size: 0 }));
    } catch (error) {
      this.socket.end(greeting(-errnoOf(error)));
    }
  }

  private async makeSharedMemory({ operation, token, body }: Request): Promise<void> {
    try {
      const file = this.devices.find(token);
      this.call = file.begin();
      try {
        const memory = operation === Operation.shmAlloc ? await file.allocate(body) : await file.register(body);
        const { id, shm } = memory;
        const free = () => file.free(id).catch((error: unknown) => this.failed(error));
        if (this.socket.destroyed) {
          await free();
          return;
        }
        this.socket.once('close', free);
        const { fd, base } = this.devices.memoryFile;
        const what = {
          kind: memory.sharing === undefined ? FileKind.sharedMemory : FileKind.registeredMemory,
          token,
          id,
          offset: shm.address - base,
          size: shm.size,
        };
        sendWithFile(this.socket, greeting(what), fd);
        this.devices.made(file, memory);
      } finally {
        this.call.end();
      }
    } catch (error) {
      this.socket.end(greeting(-errnoOf(error)));
    }
  }

  private async ioctl({ operation, token, body }: Request): Promise<void> {
    let answer: Buffer;
    try {
      const file = this.devices.find(token);
      this.call = file.begin();
      try {
        answer = reply(0, await this.ask(file, operation, body));
      } finally {
        this.call.end();
      }
    } catch (error) {
      answer = reply(-errnoOf(error));
    }
    // Reset before the answer is written, because the next request may follow immediately.
    this.busy = false;
    this.socket.write(answer);
  }

  private ask(file: ClientFile, operation: number, body: Buffer): Promise<Buffer> {
    const gone: (() => void)[] = [];
    const onClose = () => {
      for (const callback of gone) callback();
    };
    this.socket.once('close', onClose);
    return file
      .ioctl(
        operation,
        body,
        () => peerOf(this.socket).identity,
        (callback) => gone.push(callback),
      )
      .finally(() => this.socket.off('close', onClose));
  }

  /** Freeing memory failed. A TEE error means that secure world has ended; other errors are defects. */
  private failed(error: unknown): void {
    if (!(error instanceof TeecError)) this.devices.failed(error);
  }
}
