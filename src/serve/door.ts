import { Socket } from 'node:net';
import { closeDescriptor, isStreamOfUnixSocket, receiveFile, sendWithFile, socketPair } from './unix-socket.js';

/**
 * Accepts further connections of a client that has a file open, without using the socket's path or its permissions. The
 * client creates a pair of sockets, sends one of them here, and then sends a byte on the file's own connection. So an
 * open file stays usable after chroot, chdir or a change of user, and the credentials of a new pair are those of the
 * time of its creation.
 */
export class Door implements Disposable {
  private readonly inside: number;
  private outside: number;

  /** @throws ErrnoError EMFILE, ENFILE. */
  constructor() {
    [this.inside, this.outside] = socketPair();
  }

  /** Send the client's end of the door with the first bytes of a connection. @throws ErrnoError */
  sendWith(socket: Socket, bytes: Buffer): void {
    sendWithFile(socket, bytes, this.outside);
    closeDescriptor(this.outside);
    this.outside = -1;
  }

  /** The connections that the client sent. Other descriptors are closed. */
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
    // Node cannot use the descriptor.
  }
  closeDescriptor(fd);
  return undefined;
}
