import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { TeeResult } from '../../protocol/tee-result.js';
import { badRequest } from '../request-params.js';
import { hostName, type ReeSocket, type SocketAddress, SocketResult, socketError } from '../socket-service.js';
import { Readiness } from './readiness.js';

// TEE_UDP_CHANGEADDR, TEE_UDP_CHANGEPORT: TEE Sockets API Specification, section 5.2.4.
const changeAddress = 0x6600_0001;
const changePort = 0x6600_0002;

/** Bytes of datagrams that wait to be received; what comes when they are exceeded is lost (Linux's rmem_default). */
const maxQueued = 212_992;

/** Datagrams of a trusted application, to and from one address. */
export class UdpSocket implements ReeSocket {
  private readonly readiness = new Readiness();
  private readonly datagrams: Buffer[] = [];
  private queued = 0;
  /** Told once, to whoever asks next. */
  private failure: Error | undefined;
  private closed = false;

  private constructor(
    private readonly socket: Socket,
    private readonly family: 4 | 6,
  ) {
    socket.on('message', (datagram) => {
      if (this.queued + datagram.length > maxQueued) return;
      this.datagrams.push(datagram);
      this.queued += datagram.length;
      this.readiness.changed();
    });
    socket.on('error', (error) => {
      this.failure = error;
      this.readiness.changed();
    });
  }

  /** @throws TeecError ERROR_HOSTNAME, or COMMUNICATION when there is no way there. */
  static async open({ host, port, ipVersion }: SocketAddress): Promise<UdpSocket> {
    const { address, family } = await resolve(host, ipVersion);
    const socket = new UdpSocket(createSocket(family === 6 ? 'udp6' : 'udp4'), family);
    try {
      await socket.connect(address, port);
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  async send(bytes: Uint8Array): Promise<number> {
    this.check();
    return new Promise((sent, failed) => {
      this.socket.send(bytes, (error) => {
        if (error === null) sent(bytes.length);
        else failed(badRequest(error.message));
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

  async ioctl(command: number, bytes: Uint8Array): Promise<void> {
    this.check();
    const { address, port } = this.socket.remoteAddress();
    switch (command) {
      case changeAddress: {
        const found = await resolve(hostName(bytes), this.family);
        return this.change(found.address, port);
      }
      case changePort:
        if (bytes.length !== 2) throw badRequest(`a port of ${bytes.length} bytes`);
        return this.change(address, new DataView(bytes.buffer, bytes.byteOffset).getUint16(0, true));
      default:
        throw socketError(TeeResult.ERROR_NOT_SUPPORTED, `command 0x${command.toString(16)}`);
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket.close();
    this.readiness.changed();
  }

  /** @throws TeecError BAD_PARAMETERS when something failed meanwhile. */
  private check(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw badRequest(failure.message);
    if (this.closed) throw badRequest('the socket is closed');
  }

  private async change(address: string, port: number): Promise<void> {
    this.socket.disconnect();
    await this.connect(address, port);
  }

  private connect(address: string, port: number): Promise<void> {
    return new Promise((connected, failed) => {
      // Node gives the error to this callback alone.
      this.socket.connect(port, address, ((error?: Error) => {
        if (error === undefined || error === null) connected();
        else failed(socketError(TeeResult.ERROR_COMMUNICATION, error.message));
      }) as () => void);
    });
  }
}

async function resolve(host: string, ipVersion: 0 | 4 | 6): Promise<{ address: string; family: 4 | 6 }> {
  try {
    const { address, family } = await lookup(host, { family: ipVersion });
    return { address, family: family === 6 ? 6 : 4 };
  } catch (error) {
    throw socketError(SocketResult.ERROR_HOSTNAME, `${host}: ${(error as Error).message}`);
  }
}
