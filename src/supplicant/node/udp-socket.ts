import { createSocket, type Socket } from 'node:dgram';
import { TeeResult } from '../../protocol/tee-result.js';
import { TeecError } from '../../tee/teec-error.js';
import { badRequest } from '../request-params.js';
import { show } from '../service-boundary.js';
import { hostName, type ReeSocket, type SocketAddress, socketError } from '../socket-service.js';
import { resolveHost } from './host-address.js';
import { Readiness } from './readiness.js';

// TEE_UDP_CHANGEADDR, TEE_UDP_CHANGEPORT: TEE Sockets API Specification, section 5.2.4.
const changeAddress = 0x6600_0001;
const changePort = 0x6600_0002;

/** Bytes of datagrams that wait to be received; what comes when they are exceeded is lost (Linux's rmem_default). */
const maxQueued = 212_992;

interface Peer {
  readonly address: string;
  readonly port: number;
}

/** Datagrams of a trusted application, to and from one address. */
export class UdpSocket implements ReeSocket {
  private readonly readiness = new Readiness();
  private readonly datagrams: Buffer[] = [];
  private queued = 0;
  /** Undefined while it changes, and when there is no way to any. */
  private peer: Peer | undefined;
  /** Sends and changes of the peer, one after the other. */
  private turn: Promise<unknown> = Promise.resolve();
  /** Told once, to whoever asks next. */
  private failure: Error | undefined;
  private closed = false;

  private constructor(
    private readonly socket: Socket,
    private readonly family: 4 | 6,
  ) {
    socket.on('message', (datagram) => {
      // While it has no peer the kernel hands over what anybody sends.
      if (this.peer === undefined || this.queued + datagram.length > maxQueued) return;
      this.datagrams.push(datagram);
      this.queued += datagram.length;
      this.readiness.changed();
    });
    socket.on('error', (error) => {
      this.failure = error;
      this.readiness.changed();
    });
  }

  /** @throws TeecError ERROR_HOSTNAME, BAD_PARAMETERS for port 0, or COMMUNICATION when there is no way there. */
  static async open({ host, port, ipVersion }: SocketAddress): Promise<UdpSocket> {
    checkPort(port);
    const { address, family } = await resolveHost(host, ipVersion);
    const socket = new UdpSocket(createSocket(family === 6 ? 'udp6' : 'udp4'), family);
    try {
      await socket.connect({ address, port });
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  send(bytes: Uint8Array): Promise<number> {
    return this.inTurn(() => {
      if (this.peer === undefined) throw socketError(TeeResult.ERROR_COMMUNICATION, 'it has no peer');
      return new Promise((sent, failed) => {
        this.socket.send(bytes, (error) => {
          if (error === null || error === undefined) sent(bytes.length);
          else failed(badRequest(error.message));
        });
      });
    });
  }

  async receive(room: number, timeoutMs: number) {
    if (room === 0) return { data: new Uint8Array(0), available: this.datagrams[0]?.length ?? 0 };
    await this.readiness.until(() => this.datagrams.length > 0 || this.failure !== undefined || this.closed, timeoutMs);
    const datagram = this.datagrams.shift();
    if (datagram === undefined) {
      this.check();
      throw badRequest('the socket is closed');
    }
    this.queued -= datagram.length;
    return { data: datagram.subarray(0, room), available: datagram.length };
  }

  ioctl(command: number, bytes: Uint8Array): Promise<void> {
    return this.inTurn(async () => {
      const { peer } = this;
      if (peer === undefined) throw socketError(TeeResult.ERROR_COMMUNICATION, 'it has no peer');
      switch (command) {
        case changeAddress: {
          const { address } = await resolveHost(hostName(bytes), this.family);
          return this.change(peer, { ...peer, address });
        }
        case changePort: {
          if (bytes.length !== 2) throw badRequest(`a port of ${bytes.length} bytes`);
          const port = new DataView(bytes.buffer, bytes.byteOffset).getUint16(0, true);
          checkPort(port);
          return this.change(peer, { ...peer, port });
        }
        default:
          throw socketError(TeeResult.ERROR_NOT_SUPPORTED, `command 0x${command.toString(16)}`);
      }
    });
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket.close();
    this.readiness.changed();
  }

  /** What Node throws at once is of the same kind as what it tells later. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(async () => {
      this.check();
      try {
        return await work();
      } catch (error) {
        throw error instanceof TeecError ? error : socketError(TeeResult.ERROR_COMMUNICATION, show(error));
      }
    });
    this.turn = done.catch(() => undefined);
    return done;
  }

  /** @throws TeecError BAD_PARAMETERS when something failed meanwhile. */
  private check(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw badRequest(failure.message);
    if (this.closed) throw badRequest('the socket is closed');
  }

  /** Turn to another peer; when there is no way to it, back to the one before. */
  private async change(from: Peer, to: Peer): Promise<void> {
    this.peer = undefined;
    this.socket.disconnect();
    try {
      await this.connect(to);
    } catch (error) {
      await this.connect(from);
      throw error;
    }
  }

  private connect(peer: Peer): Promise<void> {
    return new Promise((connected, failed) => {
      // Node gives the error to this callback alone.
      this.socket.connect(peer.port, peer.address, ((error?: Error) => {
        if (error !== undefined && error !== null) {
          failed(socketError(TeeResult.ERROR_COMMUNICATION, `${peer.address}: ${error.message}`));
          return;
        }
        this.peer = peer;
        connected();
      }) as () => void);
    });
  }
}

/** Nothing is sent to port 0. */
function checkPort(port: number): void {
  if (port === 0) throw badRequest('port 0 of UDP');
}
