import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RpcCommand, RpcSocket, rpcSocketForEver } from '../../src/protocol/optee-rpc-command.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { nodeSockets } from '../../src/supplicant/node/node-sockets.js';
import { SocketResult, socketService } from '../../src/supplicant/socket-service.js';
import type { SupplicantService } from '../../src/supplicant/supplicant-service.js';
import { TeecError } from '../../src/tee/teec-error.js';
import * as asking from '../support/asking-application.js';
import { bytesOf, RequestMemory, valueParam } from '../support/shared-memory.js';

const tcp = 0x65;
const udp = 0x66;
const instance = 7;

/** The requests of optee_rpc_cmd.h, as OP-TEE makes them; a failure is its result. */
class SocketClient {
  private readonly memory = new RequestMemory();

  constructor(private readonly service: SupplicantService) {}

  async open(protocol: number, port: number, host = '127.0.0.1', owner = instance, version = 0): Promise<number> {
    const out = valueParam('output');
    const name = this.memory.text(host);
    const address = valueParam('input', port, protocol, version);
    await this.succeed([valueParam('input', RpcSocket.open, owner), address, name, out]);
    return out.a;
  }

  async send(handle: number, text: string, timeout = rpcSocketForEver, owner = instance): Promise<number> {
    const inout = valueParam('inout', timeout);
    const data = this.memory.memref('input', new TextEncoder().encode(text));
    await this.succeed([valueParam('input', RpcSocket.send, owner, handle), data, inout]);
    return inout.b;
  }

  /** What came, and the size that was told. */
  async receive(handle: number, room: number, timeout = rpcSocketForEver): Promise<[text: string, size: number]> {
    const out = this.memory.memref('output', room);
    await this.succeed([valueParam('input', RpcSocket.receive, instance, handle), out, valueParam('input', timeout)]);
    const told = out.size;
    out.size = Math.min(told, room);
    return [new TextDecoder().decode(bytesOf(out)), told];
  }

  ioctl(handle: number, command: number, bytes: Uint8Array): Promise<void> {
    const inout = this.memory.memref('inout', bytes);
    return this.succeed([valueParam('input', RpcSocket.ioctl, instance, handle), inout, valueParam('input', command)]);
  }

  close(handle: number): Promise<void> {
    return this.succeed([valueParam('input', RpcSocket.close, instance, handle)]);
  }

  closeAll(owner = instance): Promise<void> {
    return this.succeed([valueParam('input', RpcSocket.closeAll, owner)]);
  }

  private async succeed(params: Parameters<SupplicantService>[0]): Promise<void> {
    expect(await this.service(params)).toBe(TeeResult.SUCCESS);
  }
}

const failure = (code: number) => expect.objectContaining({ code } satisfies Partial<TeecError>);
const word = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);

describe('sockets of trusted applications', () => {
  const client = () => new SocketClient(socketService(nodeSockets));

  describe('over TCP', () => {
    let server: Server;
    let port: number;
    const accepted: Socket[] = [];
    beforeEach(async () => {
      server = createServer((socket) => accepted.push(socket)).listen(0, '127.0.0.1');
      await once(server, 'listening');
      port = (server.address() as AddressInfo).port;
    });
    afterEach(() => {
      for (const socket of accepted.splice(0)) socket.destroy();
      server.close();
    });
    const connected = async (sockets: SocketClient) => {
      const connection = once(server, 'connection') as Promise<[Socket]>;
      const handle = await sockets.open(tcp, port);
      return { handle, peer: (await connection)[0] };
    };

    it('transfers bytes in both directions, as many as fit', async () => {
      const sockets = client();
      const { handle, peer } = await connected(sockets);
      expect(await sockets.send(handle, 'hello')).toBe(5);
      expect(String((await once(peer, 'data'))[0])).toBe('hello');
      peer.write('answer');
      expect(await sockets.receive(handle, 3)).toEqual(['ans', 3]);
      expect(await sockets.receive(handle, 0)).toEqual(['', 3]);
      expect(await sockets.receive(handle, 100)).toEqual(['wer', 3]);
      await sockets.close(handle);
      await expect(sockets.send(handle, 'x')).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
    });

    it('waits no longer than its timeout', async () => {
      const sockets = client();
      const { handle } = await connected(sockets);
      await expect(sockets.receive(handle, 10, 0)).rejects.toEqual(failure(SocketResult.ERROR_TIMEOUT));
      await expect(sockets.receive(handle, 10, 5)).rejects.toEqual(failure(SocketResult.ERROR_TIMEOUT));
      expect(await sockets.receive(handle, 0, rpcSocketForEver)).toEqual(['', 0]);
      await sockets.closeAll();
    });

    it("reports the end of the peer's data", async () => {
      const sockets = client();
      const { handle, peer } = await connected(sockets);
      peer.end('last');
      expect(await sockets.receive(handle, 100)).toEqual(['last', 4]);
      expect(await sockets.receive(handle, 100)).toEqual(['', 0]);
      await sockets.close(handle);
    });

    it('sets its buffer sizes, and supports no other command', async () => {
      const sockets = client();
      const { handle } = await connected(sockets);
      await sockets.ioctl(handle, 0x65f0_0000, word(4096));
      await sockets.ioctl(handle, 0x65f0_0001, word(4096));
      await expect(sockets.ioctl(handle, 0x6500_0001, word(1))).rejects.toEqual(failure(TeeResult.ERROR_NOT_SUPPORTED));
      await sockets.close(handle);
    });

    it('separates the sockets of instances', async () => {
      const sockets = client();
      const { handle } = await connected(sockets);
      await expect(sockets.send(handle, 'x', 0, 8)).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
      await sockets.closeAll(8);
      expect(await sockets.send(handle, 'x')).toBe(1);
      await sockets.closeAll();
      await expect(sockets.send(handle, 'x')).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
    });

    it('wakes waiters of a socket that is closed', async () => {
      const sockets = client();
      const { handle } = await connected(sockets);
      const waiting = sockets.receive(handle, 10);
      await sockets.closeAll();
      await expect(waiting).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
    });

    it('reports what is wrong with an address', async () => {
      const sockets = client();
      server.close();
      await once(server, 'close');
      await expect(sockets.open(tcp, port)).rejects.toEqual(failure(TeeResult.ERROR_COMMUNICATION));
      await expect(sockets.open(tcp, port, 'no such host.invalid')).rejects.toEqual(
        failure(SocketResult.ERROR_HOSTNAME),
      );
      await expect(sockets.open(0x67, port)).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
      await expect(sockets.open(tcp, 0x1_0000)).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
    });
  });

  describe('over UDP', () => {
    const peers: DatagramSocket[] = [];
    afterEach(() => {
      for (const peer of peers.splice(0)) peer.close();
    });
    /** Answers each datagram with itself twice. */
    const echo = async () => {
      const peer = createSocket('udp4');
      peers.push(peer);
      peer.on('message', (bytes, { port, address }) => peer.send(Buffer.concat([bytes, bytes]), port, address));
      peer.bind(0, '127.0.0.1');
      await once(peer, 'listening');
      return peer.address().port;
    };

    it('transfers datagrams, and returns the length of one that did not fit', async () => {
      const sockets = client();
      const handle = await sockets.open(udp, await echo());
      expect(await sockets.send(handle, 'abc')).toBe(3);
      expect(await sockets.receive(handle, 100)).toEqual(['abcabc', 6]);
      await sockets.send(handle, 'abc');
      expect(await sockets.receive(handle, 4)).toEqual(['abca', 6]);
      await expect(sockets.receive(handle, 4, 0)).rejects.toEqual(failure(SocketResult.ERROR_TIMEOUT));
      await sockets.close(handle);
    });

    it('changes to another port and another address', async () => {
      const sockets = client();
      const handle = await sockets.open(udp, await echo());
      const port = await echo();
      await sockets.ioctl(handle, 0x6600_0002, new Uint8Array(new Uint16Array([port]).buffer));
      await sockets.ioctl(handle, 0x6600_0001, new TextEncoder().encode('127.0.0.1\0'));
      await sockets.send(handle, 'x');
      expect(await sockets.receive(handle, 10)).toEqual(['xx', 2]);
      await expect(sockets.ioctl(handle, 0x6600_0001, new TextEncoder().encode('127.0.0.1'))).rejects.toEqual(
        failure(SocketResult.ERROR_HOSTNAME),
      );
      await sockets.closeAll();
    });
  });

  describe('to invalid hosts', () => {
    const hosts: readonly [string, string, number][] = [
      ['no name', '', 0],
      ['an IPv4 address where IPv6 is asked for', '127.0.0.1', 2],
      ['an IPv6 address where IPv4 is asked for', '::1', 1],
      ['a name that nothing has', 'no such host.invalid', 0],
      ['a name longer than any', 'x'.repeat(300), 0],
      ['half an address', '127.0.0', 2],
    ];
    it.each(
      hosts.flatMap(([what, host, version]) => [tcp, udp].map((protocol) => ({ what, host, version, protocol }))),
    )('$what is ERROR_HOSTNAME (protocol $protocol)', async ({ host, version, protocol }) => {
      await expect(client().open(protocol, 9, host, instance, version)).rejects.toEqual(
        failure(SocketResult.ERROR_HOSTNAME),
      );
    });

    it('and to invalid ports is an error, not an exception', async () => {
      await expect(client().open(udp, 0)).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
      await expect(client().open(tcp, 0)).rejects.toEqual(failure(TeeResult.ERROR_COMMUNICATION));
      for (const port of [0x1_0000, 2 ** 32, 2 ** 53])
        for (const protocol of [tcp, udp])
          await expect(client().open(protocol, port)).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
    });
  });

  describe('over UDP whose change of address fails', () => {
    const changeAddress = 0x6600_0001;
    const changePort = 0x6600_0002;
    const address = (host: string) => new TextEncoder().encode(`${host}\0`);
    const port = (of: number) => new Uint8Array(new Uint16Array([of]).buffer);
    const changes: readonly [string, number, Uint8Array][] = [
      ['port 0', changePort, port(0)],
      ['half a port', changePort, Uint8Array.of(9)],
      ['no port', changePort, new Uint8Array(0)],
      ['an empty host name', changeAddress, address('')],
      ['a host that there is none of', changeAddress, address('no such host.invalid')],
      ['an address of the other IP version', changeAddress, address('::1')],
      ['an address without its end', changeAddress, new TextEncoder().encode('127.0.0.1')],
      ['an address of no bytes', changeAddress, new Uint8Array(0)],
      // Nobody may send there who has not asked for it: the kernel refuses the connection itself.
      ['everybody', changeAddress, address('255.255.255.255')],
      ['what there is no command for', 0x6600_0003, port(9)],
    ];
    let peer: DatagramSocket;
    beforeEach(async () => {
      peer = createSocket('udp4').bind(0, '127.0.0.1');
      peer.on('message', (bytes, { port, address }) => peer.send(bytes, port, address));
      await once(peer, 'listening');
    });
    afterEach(() => {
      peer.close();
    });

    it.each(changes)('to %s keeps their peer', async (_, command, bytes) => {
      const sockets = client();
      const handle = await sockets.open(udp, peer.address().port);
      for (let round = 0; round < 2; round++) {
        await expect(sockets.ioctl(handle, command, bytes)).rejects.toMatchObject({ code: expect.any(Number) });
        expect(await sockets.send(handle, 'still')).toBe(5);
        expect(await sockets.receive(handle, 10, 5_000)).toEqual(['still', 5]);
      }
      await sockets.ioctl(handle, changePort, port(peer.address().port));
      await sockets.closeAll();
    });

    it('change one at a time', async () => {
      const sockets = client();
      const handle = await sockets.open(udp, peer.address().port);
      const ends = await Promise.allSettled([
        sockets.ioctl(handle, changePort, port(1)),
        sockets.ioctl(handle, changeAddress, address('127.0.0.2')),
        sockets.ioctl(handle, changeAddress, address('255.255.255.255')),
        sockets.ioctl(handle, changeAddress, address('127.0.0.1')),
        sockets.ioctl(handle, changePort, port(peer.address().port)),
        sockets.send(handle, 'there'),
      ]);
      expect(ends.map(({ status }) => status[0])).toEqual(['f', 'f', 'r', 'f', 'f', 'f']);
      expect(await sockets.receive(handle, 10, 5_000)).toEqual(['there', 5]);
      await sockets.close(handle);
    });

    it('and that are closed meanwhile report it', async () => {
      const sockets = client();
      const handle = await sockets.open(udp, peer.address().port);
      const changing = sockets.ioctl(handle, changePort, port(9));
      const sending = sockets.send(handle, 'x');
      await sockets.close(handle);
      const ends = await Promise.allSettled([changing, sending]);
      for (const end of ends) if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(TeecError);
    });

    it('refuse a datagram that is too long, and continue', async () => {
      const sockets = client();
      const handle = await sockets.open(udp, peer.address().port);
      await expect(sockets.send(handle, 'x'.repeat(70_000))).rejects.toBeInstanceOf(TeecError);
      await sockets.send(handle, 'short');
      expect(await sockets.receive(handle, 10, 5_000)).toEqual(['short', 5]);
      await sockets.close(handle);
    });
  });

  it('of TCP whose peer resets the connection only fail their next requests', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const sockets = client();
    const connection = once(server, 'connection') as Promise<[Socket]>;
    const handle = await sockets.open(tcp, (server.address() as AddressInfo).port);
    const [peer] = await connection;
    const waiting = sockets.receive(handle, 10);
    peer.resetAndDestroy();
    await expect(waiting).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
    await expect(sockets.send(handle, 'x')).rejects.toEqual(failure(TeeResult.ERROR_BAD_PARAMETERS));
    await expect(sockets.ioctl(handle, 0x65f0_0000, word(4096))).rejects.toEqual(
      failure(TeeResult.ERROR_BAD_PARAMETERS),
    );
    await sockets.close(handle);
    server.close();
  });

  it('are not available if they are disabled', async () => {
    await using tee = await asking.AskingTee.open({ sockets: false });
    const asked = [asking.input(RpcSocket.open, 1), asking.input(80, tcp, 0), asking.text('127.0.0.1'), asking.output];
    expect((await tee.ask(RpcCommand.socket, asked)).result).toBe(TeeResult.ERROR_NOT_SUPPORTED);
  });

  const input = (a: number, b = instance, c = 0) => valueParam('input', a, b, c);
  const memory = new RequestMemory();
  const host = () => memory.text('127.0.0.1');
  const out = () => valueParam('output');
  const malformed: readonly [string, () => Parameters<SupplicantService>[0], number][] = [
    ['without parameters', () => [], TeeResult.ERROR_BAD_PARAMETERS],
    ['with an operation that there is none of', () => [input(6)], TeeResult.ERROR_BAD_PARAMETERS],
    ['whose operation is an output', () => [valueParam('output')], TeeResult.ERROR_BAD_PARAMETERS],
    ['whose operation is memory', () => [host()], TeeResult.ERROR_BAD_PARAMETERS],
    ['to open without an address', () => [input(RpcSocket.open)], TeeResult.ERROR_BAD_PARAMETERS],
    [
      'to open with nowhere for the handle',
      () => [input(RpcSocket.open), valueParam('input', 80, tcp, 0), host()],
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'to open by IP version 3',
      () => [input(RpcSocket.open), valueParam('input', 80, tcp, 3), host(), out()],
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'to open protocol 0',
      () => [input(RpcSocket.open), valueParam('input', 80, 0, 0), host(), out()],
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'to open a host without its end',
      () => [
        input(RpcSocket.open),
        valueParam('input', 80, tcp, 0),
        memory.memref('input', new TextEncoder().encode('127.0.0.1')),
        out(),
      ],
      SocketResult.ERROR_HOSTNAME,
    ],
    [
      'to open a host of no bytes',
      () => [input(RpcSocket.open), valueParam('input', 80, tcp, 0), memory.memref('input', new Uint8Array()), out()],
      SocketResult.ERROR_HOSTNAME,
    ],
    ['to close what is not open', () => [input(RpcSocket.close, instance, 4711)], TeeResult.ERROR_BAD_PARAMETERS],
    [
      'to send by what is not open',
      () => [input(RpcSocket.send, instance, 4711), host(), valueParam('inout')],
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'to receive into what may not be written',
      () => [input(RpcSocket.receive, instance, 1), host(), valueParam('input')],
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'to receive without a timeout',
      () => [input(RpcSocket.receive, instance, 1), memory.memref('output', 4)],
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
    [
      'to set what is not open',
      () => [input(RpcSocket.ioctl, instance, 1), memory.memref('inout', new Uint8Array(4)), valueParam('input')],
      TeeResult.ERROR_BAD_PARAMETERS,
    ],
  ];
  it.each(malformed)('are refused a request %s', async (_, params, code) => {
    const service = socketService({ open: () => Promise.reject(new Error('nothing is to be opened')) });
    await expect(service(params())).rejects.toEqual(failure(code));
  });
});
