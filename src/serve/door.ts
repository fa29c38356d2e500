import { Socket } from 'node:net';
import { closeDescriptor, isStreamOfUnixSocket, receiveFile, sendWithFile, socketPair } from './unix-socket.js';

/**
 * Further connections for whoever has a file open, which need neither its path nor a right to it: the client makes a pair
 * of sockets and hands one in here, then knocks (a byte on the file's own connection). So an open file stays usable by a
 * client that goes to another root or folder, or becomes another user, and a new pair says who he is at that moment.
 */
export class Door implements Disposable {
  private readonly inside: number;
  private outside: number;

  /** @throws ErrnoError EMFILE, ENFILE. */
  constructor() {
    [this.inside, this.outside] = socketPair();
  }

  /** Send the client's end of it, with the first bytes of a connection. @throws ErrnoError */
  sendWith(socket: Socket, bytes: Buffer): void {
    sendWithFile(socket, bytes, this.outside);
    closeDescriptor(this.outside);
    this.outside = -1;
  }

  /** The connections that were handed in. What was handed in and is none is dropped. */
  *take(): Generator<Socket> {
    for (let fd = receiveFile(this.inside); fd !== undefined; fd = receiveFile(this.inside)) {
      const socket = fd < 0 ? undefined : socketOf(fd);
      if (socket !== undefined) yield socket;
    }
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.inside);
    if (this.outside >= 0) closeDescriptor(this.outside);
  }
}

function socketOf(fd: number): Socket | undefined {
  try {
    if (isStreamOfUnixSocket(fd)) return new Socket({ fd, readable: true, writable: true });
  } catch {
    // Node cannot use it either.
  }
  closeDescriptor(fd);
  return undefined;
}
