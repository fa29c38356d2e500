import { connect, type Socket } from 'node:net';
import { machineClock } from '../../clock/clock.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { show } from '../../show.js';
import type { TeecError } from '../../tee/teec-error.js';
import { badRequest } from '../request-params.js';
import { errnoOf } from '../service-boundary.js';
import { type ReeSocket, type SocketAddress, SocketResult, socketError } from '../socket-service.js';
import { checkHost } from './host-address.js';
import { Readiness } from './readiness.js';
import { SocketOption, setSocketOption } from './socket-descriptor.js';

/**
 * TEE_TCP_SET_RECVBUF, TEE_TCP_SET_SENDBUF: extensions of OP-TEE (optee_client, __tee_tcpsocket_defines_extensions.h).
 */
const options = new Map<number, number>([
  [0x65f0_0000, SocketOption.SO_RCVBUF],
  [0x65f0_0001, SocketOption.SO_SNDBUF],
]);

/** The maximum number of available bytes that is reported (tee-supplicant's SUPP_MAX_PEEK_LEN). */
const maxPeek = 4096;

/** Limit in milliseconds for making a connection, including the name resolution. */
const connectLimitMs = 30_000;

/** A TCP connection of a trusted application. */
export class TcpSocket implements ReeSocket {
  private readonly readiness = new Readiness();
  private failure: Error | undefined;
  private atEnd = false;

  private constructor(private readonly socket: Socket) {
    const changed = () => this.readiness.changed();
    socket.on('readable', changed).on('drain', changed).on('close', changed);
    socket.on('end', () => {
      this.atEnd = true;
      changed();
    });
    socket.on('error', (error) => {
      this.failure = error;
      changed();
    });
  }

  /** @throws TeecError ERROR_HOSTNAME, ERROR_TIMEOUT, or COMMUNICATION if the connection is refused or fails. */
  static async open(address: SocketAddress): Promise<TcpSocket> {
    checkHost(address);
    const { host, port, ipVersion } = address;
    let socket: Socket;
    try {
      socket = connect({ host, port, ...(ipVersion === 0 ? {} : { family: ipVersion }), allowHalfOpen: true });
    } catch (error) {
      throw connectError(host, error);
    }
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        cancel();
        settle();
      };
      const failed = (error: unknown) => end(() => reject(connectError(host, error)));
      const cancel = machineClock.setTimer(connectLimitMs, () => {
        reject(socketError(SocketResult.ERROR_TIMEOUT, `${host}: no connection within ${connectLimitMs} ms`));
        socket.destroy();
      });
      // The listener stays: an error after a failed connection would otherwise be uncaught.
      socket.on('error', failed);
      socket.once('connect', () => end(() => resolve(new TcpSocket(socket))));
    });
  }

  async send(bytes: Uint8Array, timeoutMs: number): Promise<number> {
    await this.readiness.until(() => this.ended || this.socket.writableLength === 0, timeoutMs);
    if (this.ended) throw badRequest('the connection is closed');
    this.socket.write(bytes);
    return bytes.length;
  }

  async receive(room: number, timeoutMs: number) {
    const { socket } = this;
    if (room === 0) return { data: new Uint8Array(0), available: Math.min(socket.readableLength, maxPeek) };
    await this.readiness.until(() => socket.readableLength > 0 || this.atEnd || this.ended, timeoutMs);
    const data = socket.read(Math.min(room, socket.readableLength)) as Buffer | null;
    if (data === null && !this.atEnd) throw badRequest('the connection is closed');
    return { data: data ?? new Uint8Array(0), available: data?.length ?? 0 };
  }

  async ioctl(command: number, bytes: Uint8Array): Promise<void> {
    const option = options.get(command);
    if (option === undefined) throw socketError(TeeResult.ERROR_NOT_SUPPORTED, `command 0x${command.toString(16)}`);
    if (this.ended || !setSocketOption(this.socket, option, bytes)) throw badRequest('the option was refused');
  }

  close(): void {
    // Data that was sent is still delivered.
    this.socket.destroySoon();
    this.failure ??= new Error('closed');
    this.readiness.changed();
  }

  private get ended(): boolean {
    return this.failure !== undefined || this.socket.destroyed;
  }
}

function connectError(host: string, error: unknown): TeecError {
  const { syscall } = (error ?? {}) as NodeJS.ErrnoException;
  const result = syscall === 'getaddrinfo' ? SocketResult.ERROR_HOSTNAME : resultOf(errnoOf(error));
  return socketError(result, `${host}: ${show(error)}`);
}

function resultOf(errno: string | undefined): number {
  switch (errno) {
    case 'ETIMEDOUT':
      return SocketResult.ERROR_TIMEOUT;
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
    case 'ENOBUFS':
      return SocketResult.ERROR_OUT_OF_RESOURCES;
    default:
      return TeeResult.ERROR_COMMUNICATION;
  }
}
