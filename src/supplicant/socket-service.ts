import { RpcCommand, RpcSocket, rpcSocketForEver } from '../protocol/optee-rpc-command.js';
import { TeeResult } from '../protocol/tee-result.js';
import type { TeeParam } from '../tee/tee-param.js';
import { commsError, type TeecError } from '../tee/teec-error.js';
import { countAnswered, objectAnswered, octetsAnswered } from './answers.js';
import { HandleNumbers, HandleTable } from './handle-table.js';
import { badRequest, bytesAt, bytesOf, memrefAt, valueAt } from './request-params.js';
import { guarded } from './service-boundary.js';
import type { SupplicantService } from './supplicant-service.js';

/** TEE_ISOCKET_ERROR_*: TEE Sockets API Specification v1.0 (GPD_SPE_100), section 3.5. */
export const SocketResult = {
  ERROR_TIMEOUT: 0xf100_7003,
  ERROR_OUT_OF_RESOURCES: 0xf100_7004,
  ERROR_HOSTNAME: 0xf100_7007,
} as const;

/** TEE_ISOCKET_PROTOCOLID_* */
const protocols: Readonly<Record<number, 'tcp' | 'udp'>> = { 101: 'tcp', 102: 'udp' };
/** TEE_IP_VERSION_* */
const ipVersions: Readonly<Record<number, 0 | 4 | 6>> = { 0: 0, 1: 4, 2: 6 };

/** The address of a connection, as a trusted application gives it. */
export interface SocketAddress {
  readonly protocol: 'tcp' | 'udp';
  readonly host: string;
  readonly port: number;
  /** 0: either version. */
  readonly ipVersion: 0 | 4 | 6;
}

/** An open socket. Each method fails with a TeecError: a `SocketResult`, or a result of the TEE. */
export interface ReeSocket {
  /** @param timeoutMs Infinity: no limit. @returns the number of bytes sent. */
  send(bytes: Uint8Array, timeoutMs: number): Promise<number>;
  /**
   * Wait for data.
   * @param room size of the buffer in bytes; 0: do not wait, only report the number of available bytes.
   * @returns the data, at most `room` bytes, and the number of available bytes; for a truncated datagram, its full
   *   size.
   */
  receive(room: number, timeoutMs: number): Promise<{ readonly data: Uint8Array; readonly available: number }>;
  /** @param command TEE_TCP_*, TEE_UDP_* */
  ioctl(command: number, bytes: Uint8Array): Promise<void>;
  /** Close it; pending operations fail. */
  close(): void | Promise<void>;
}

/** The network of the normal world. */
export interface ReeSockets {
  open(address: SocketAddress): Promise<ReeSocket>;
}

/**
 * SOCKET: optee_rpc_cmd.h, OPTEE_RPC_SOCKET_*. A socket belongs to a TA instance; other instances cannot use it. The
 * results are those of tee-supplicant (optee_client, tee_socket.c).
 */
export function socketService(sockets: ReeSockets, numbers = new HandleNumbers()): SupplicantService {
  const instances = new Map<number, HandleTable<ReeSocket>>();
  let left = false;
  const handlesOf = (instance: number) => {
    const handles = instances.get(instance);
    if (handles === undefined) throw badRequest(`instance ${instance} has no sockets`);
    return handles;
  };
  /** Close all sockets of an instance, also after a failure. */
  const closeAll = async (instance: number) => {
    const open = instances.get(instance)?.takeAll() ?? [];
    instances.delete(instance);
    const closed = await Promise.allSettled(open.map(async (socket) => socket.close()));
    for (const each of closed) if (each.status === 'rejected') throw each.reason;
  };

  const serve: SupplicantService = async (params, serving) => {
    const request = valueAt(params, 0, 'input');
    const instance = request.b;
    switch (request.a) {
      case RpcSocket.open: {
        const out = valueAt(params, 3, 'output');
        const answer = await sockets.open(addressAt(params));
        const socket = objectAnswered(answer, "the network's open", ['send', 'receive', 'ioctl', 'close']);
        if (left) {
          await socket.close();
          throw socketError(TeeResult.ERROR_COMMUNICATION, 'the supplicant exited');
        }
        const handles = instances.get(instance) ?? new HandleTable<ReeSocket>(numbers);
        instances.set(instance, handles);
        const handle = handles.add(socket);
        serving?.ifUnwanted(() => (handles.remove(handle) ? socket.close() : undefined));
        out.a = handle;
        return TeeResult.SUCCESS;
      }
      case RpcSocket.close:
        await handlesOf(instance).take(request.c).close();
        return TeeResult.SUCCESS;
      case RpcSocket.closeAll:
        await closeAll(instance);
        return TeeResult.SUCCESS;
      case RpcSocket.send: {
        const inout = valueAt(params, 2, 'inout');
        const socket = handlesOf(instance).find(request.c);
        const bytes = bytesAt(params, 1);
        inout.b = countAnswered(await socket.send(bytes, timeoutOf(inout.a)), bytes.length, "a socket's send");
        return TeeResult.SUCCESS;
      }
      case RpcSocket.receive: {
        const memref = memrefAt(params, 1, 'output');
        const timeoutMs = timeoutOf(valueAt(params, 2, 'input').a);
        const socket = handlesOf(instance).find(request.c);
        const by = "a socket's receive";
        const { data, available } = objectAnswered(await socket.receive(memref.size, timeoutMs), by);
        const received = octetsAnswered(data, memref.size, by);
        memref.shm?.write(memref.offset, received);
        memref.size = countAnswered(available, Number.MAX_SAFE_INTEGER, by);
        return TeeResult.SUCCESS;
      }
      case RpcSocket.ioctl: {
        const memref = memrefAt(params, 1, 'inout');
        await handlesOf(instance)
          .find(request.c)
          .ioctl(valueAt(params, 2, 'input').a, bytesOf(memref));
        return TeeResult.SUCCESS;
      }
      default:
        throw badRequest(`socket operation ${request.a} does not exist`);
    }
  };
  const leave = async () => {
    left = true;
    await Promise.all([...instances.keys()].map(closeAll));
  };
  return guarded(RpcCommand.socket, Object.assign(serve, { leave }));
}

function addressAt(params: readonly TeeParam[]): SocketAddress {
  const { a: port, b: protocolId, c: version } = valueAt(params, 1, 'input');
  const name = bytesAt(params, 2);
  const protocol = protocols[protocolId];
  const ipVersion = ipVersions[version];
  if (protocol === undefined) throw badRequest(`socket protocol ${protocolId}`);
  if (ipVersion === undefined) throw badRequest(`IP version ${version}`);
  if (port > 0xffff) throw badRequest(`port ${port}`);
  return { protocol, ipVersion, port, host: hostName(name) };
}

/** A zero-terminated host name. @throws TeecError ERROR_HOSTNAME */
export function hostName(bytes: Uint8Array): string {
  if (bytes.at(-1) !== 0) throw socketError(SocketResult.ERROR_HOSTNAME, 'an unterminated host name');
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

/** The timeout, in the low 32 bits of a word. */
function timeoutOf(word: number): number {
  const milliseconds = word % 0x1_0000_0000;
  return milliseconds === rpcSocketForEver ? Number.POSITIVE_INFINITY : milliseconds;
}

export function socketError(code: number, what: string): TeecError {
  return commsError(code, `socket: ${what}`);
}
