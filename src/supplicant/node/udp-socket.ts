import { createSocket, type Socket } from 'node:dgram';
import { TeeResult } from '../../protocol/tee-result.js';
import { show } from '../../show.js';
import { TeecError } from '../../tee/teec-error.js';
import { badRequest } from '../request-params.js';
import { hostName, type ReeSocket, type SocketAddress, socketError } from '../socket-service.js';
import { resolveHost } from './host-address.js';
import { Readiness } from './readiness.js';

// TEE_UDP_CHANGEADDR, TEE_UDP_CHANGEPORT: TEE Sockets API Specification, section 5.2.4.
const changeAddress = 0x6600_0001;
const changePort = 0x6600_0002;

/** Limit in bytes for queued datagrams; datagrams beyond it are dropped (Linux's rmem_default). */
const maxQueued = 212_992;

interface Peer {
  readonly address: string;
  readonly port: number;
}

/** A UDP socket of a trusted application, connected to one address. */
export class UdpSocket implements ReeSocket {
  private readonly readiness = new Readiness();
  private readonly datagrams: Buffer[] = [];
  private queued = 0;
  /** Undefined while it changes, and if the new address is unreachable. */
  private peer: Peer | undefined;
  /** Serialises sends and changes of the peer. */
  private turn: Promise<unknown> = Promise.resolve();
  /** Reported once, by the next operation. */
  private failure: Error | undefined;
  private closed = false;

  private constructor(
    private readonly socket: Socket,
    private readonly family: 4 | 6,
  ) {
    socket.on('message', (datagram) => {
      // Without a peer, the socket is not connected and the kernel delivers datagrams from any address.
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

  /** @throws TeecError ERROR_HOSTNAME, BAD_PARAMETERS for port 0, or COMMUNICATION if the address is unreachable. */
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

  /**
   * Run an operation after the previous ones. Synchronous and asynchronous errors of Node become the same TeecError.
   */
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

  /** @throws TeecError BAD_PARAMETERS if the socket has failed since the last operation, or is closed. */
  private check(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw badRequest(failure.message);
    if (this.closed) throw badRequest('the socket is closed');
  }

  /** Connect to another peer; if it is unreachable, connect to the previous one again. */
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
      // Node reports the error only to this callback.
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

/** Port 0 is not a valid destination. */
function checkPort(port: number): void {
  if (port === 0) throw badRequest('port 0 of UDP');
}
