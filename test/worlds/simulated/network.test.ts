import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  openTee,
  RpcCommand,
  type SupplicantPlugin,
  type TaCall,
  type Tee,
  TeeResult,
  temporary,
  trustedApplication,
  value,
} from '../../../src/index.js';
import { RpcSocket, rpcSocketForEver } from '../../../src/protocol/optee-rpc-command.js';
import { type RpcMemory, rpcMemref, rpcValue, TeeError } from '../../../src/testing.js';

const owner = 1;

/** Memory that the supplicant can reach, for the time of some work: what is not given back stays with secure world. */
async function withMemory<T>(call: TaCall, work: (memory: RpcMemory) => Promise<T>): Promise<T> {
  const memory = await call.allocateRpcMemory(4096);
  try {
    return await work(memory);
  } finally {
    await call.freeRpcMemory(memory);
  }
}

async function must(answer: Promise<number>): Promise<void> {
  const result = await answer;
  if (result !== TeeResult.SUCCESS) throw new TeeError(result);
}

/** value[0] in: a a port, b a protocol; memref[1] inout: sent, then what came back. */
async function echo(call: TaCall, memory: RpcMemory): Promise<void> {
  const { a: port, b: protocol } = call.value(0, 'input');
  const data = call.memref(1, 'inout');
  const at = (bytes: Uint8Array) => {
    memory.mobj.write(bytes);
    return rpcMemref('input', memory.mobj, bytes.length);
  };
  const opened = rpcValue('output');
  await must(
    call.rpc(RpcCommand.socket, [
      rpcValue('input', RpcSocket.open, owner),
      rpcValue('input', port, protocol, 0),
      at(new TextEncoder().encode('127.0.0.1\0')),
      opened,
    ]),
  );
  const request = (operation: number) => rpcValue('input', operation, owner, opened.a);
  const sent = rpcValue('inout', rpcSocketForEver);
  await must(call.rpc(RpcCommand.socket, [request(RpcSocket.send), at(data.read()), sent]));
  const back = rpcMemref('output', memory.mobj, data.capacity);
  await must(call.rpc(RpcCommand.socket, [request(RpcSocket.receive), back, rpcValue('input', rpcSocketForEver)]));
  data.write(memory.mobj.read(0, back.size));
  await must(call.rpc(RpcCommand.socket, [request(RpcSocket.close)]));
}

const plugin: SupplicantPlugin = {
  uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
  invoke: (command, subCommand, data) => ({
    result: command === 3 ? TeeResult.SUCCESS : TeeResult.ERROR_NOT_SUPPORTED,
    output: data.map((octet) => octet + subCommand),
  }),
};

/** memref[0] inout: what the plugin makes of it. */
async function callPlugin(call: TaCall, memory: RpcMemory): Promise<void> {
  const data = call.memref(0, 'inout');
  memory.mobj.write(data.read());
  await must(
    call.rpc(RpcCommand.plugin, [
      rpcValue('input', 0, 0x04030201, 0x08070605),
      rpcValue('input', 0x0c0b0a09, 0x100f0e0d, 3),
      rpcValue('inout', 10),
      rpcMemref('inout', memory.mobj, data.capacity),
    ]),
  );
  data.write(memory.mobj.read(0, data.capacity));
}

const networker = trustedApplication({
  uuid: '44444444-0000-4000-8000-000000000001',
  kind: 'user',
  create: () => ({
    invokeCommand: (call) =>
      withMemory(call, (memory) => (call.command === 0 ? echo(call, memory) : callPlugin(call, memory))),
  }),
});

describe.each(['smc', 'ffa'] as const)('a trusted application of the simulated world, over %s', (abi) => {
  let tee: Tee;
  beforeEach(async () => {
    tee = await openTee({ simulated: { abi }, trustedApplications: [networker], supplicant: { plugins: [plugin] } });
  });
  afterEach(async () => {
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });
  const text = new TextEncoder().encode('over the wire');

  it('reaches a TCP server on this machine, and gets its answer', async () => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const session = await tee.openContext().openSession(networker.uuid);
    const [, back] = await session.invoke(0, [value.input(port, 101), temporary.inout(text.slice())]);
    expect(new TextDecoder().decode(back)).toBe('over the wire');
    server.close();
  });

  it('reaches a UDP server', async () => {
    const server = createSocket('udp4');
    server.on('message', (bytes, { port, address }) => server.send(bytes.reverse(), port, address));
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    const session = await tee.openContext().openSession(networker.uuid);
    const [, back] = await session.invoke(0, [value.input(server.address().port, 102), temporary.inout(text.slice())]);
    expect(back).toEqual(text.slice().reverse());
    server.close();
  });

  it('gets an error if no server listens, and continues', async () => {
    const session = await tee.openContext().openSession(networker.uuid);
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    free.close();
    await once(free, 'close');
    await expect(session.invoke(0, [value.input(port, 101), temporary.inout(text.slice())])).rejects.toMatchObject({
      code: TeeResult.ERROR_COMMUNICATION,
    });
    expect(await session.invoke(1, [temporary.inout(Uint8Array.of(1, 2))])).toEqual([Uint8Array.of(11, 12)]);
  });
});
