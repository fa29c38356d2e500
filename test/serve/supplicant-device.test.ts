import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { RpcCommand } from '../../src/protocol/optee-rpc-command.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { Operation } from '../../src/serve/wire.js';
import { Command, pseudoTa } from '../support/applications.js';
import { type Param, params, WireClient } from '../support/wire-client.js';

const errno = { ENOENT: -2, EBUSY: -16, EINVAL: -22 } as const;
const meta = 0x100;
const valueInout = 3;

/** SUPPL_RECV and SUPPL_SEND have the same shape: a word, and parameters. */
function arg(word: number, list: readonly Param[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(word, 0);
  head.writeUInt32LE(list.length, 4);
  return Buffer.concat([head, params(list)]);
}

describe('/dev/teepriv0 of a server whose TEE has no supplicant', () => {
  let tee: Tee;
  let server: TeeServer;
  let supplicant: WireClient;

  beforeEach(async () => {
    tee = await openTee({ memoryFile: true, trustedApplications: [pseudoTa], supplicant: false });
    server = await TeeServer.listen(tee);
    supplicant = await WireClient.open(server.path, 'teepriv0');
  });
  afterEach(async () => {
    await supplicant.close();
    await server[Symbol.asyncDispose]();
    expect(server.openFiles).toBe(0);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  const none: Param = [0, 0, 0, 0];
  const receive = async (list: readonly Param[] = [[meta, 0, 0, 0], none, none, none, none]) => {
    const { status, body } = await supplicant.ioctl(Operation.supplicantReceive, arg(0, list));
    return status < 0
      ? { status, command: 0, count: 0, id: 0n }
      : {
          ...{ status, command: body.readUInt32LE(0), count: body.readUInt32LE(4) },
          id: body.readBigUInt64LE(16),
        };
  };
  const send = async (result: number, list: readonly Param[]) =>
    (await supplicant.ioctl(Operation.supplicantSend, arg(result, list))).status;
  const answer = (id: bigint, result = 0) => send(result, [[meta | valueInout, id, 0, 0], none]);
  const client = async () => {
    const opened = await WireClient.open(server.path);
    const { session } = await opened.openSession(pseudoTa.uuid);
    return { opened, ask: () => opened.invoke(session, Command.ask) };
  };

  it('has one supplicant at a time', async () => {
    expect(supplicant.file.status).toBe(0);
    expect((await WireClient.open(server.path, 'teepriv0')).file.status).toBe(errno.EBUSY);
    await supplicant.close();
    for (;;) {
      supplicant = await WireClient.open(server.path, 'teepriv0');
      if (supplicant.file.status === 0) break;
    }
  });

  it('reports that it is privileged, and supports no client ioctls', async () => {
    const { body } = await supplicant.ioctl(Operation.version, Buffer.alloc(12));
    expect(body.readUInt32LE(8)).toBe(1 | 2 | 8);
    expect((await supplicant.openSession(pseudoTa.uuid)).status).toBe(errno.EINVAL);
  });

  it('gives requests to concurrent threads, and accepts answers in any order', async () => {
    const clients = [await client(), await client()];
    const calls = clients.map(({ ask }) => ask());
    const requests = [await receive(), await receive()];
    expect(requests.map(({ command, count }) => [command, count])).toEqual([
      [RpcCommand.plugin, 2],
      [RpcCommand.plugin, 2],
    ]);
    for (const { id } of requests.reverse()) expect(await answer(id, TeeResult.ERROR_BUSY)).toBe(0);
    expect((await Promise.all(calls)).map(({ result }) => result)).toEqual([
      TeeResult.ERROR_BUSY,
      TeeResult.ERROR_BUSY,
    ]);
    for (const { opened } of clients) await opened.close();
  });

  it('refuses answers to unknown requests, and invalid arguments', async () => {
    const { opened, ask } = await client();
    expect(await answer(99n)).toBe(errno.ENOENT);
    expect(await send(0, [none])).toBe(errno.EINVAL);
    expect((await receive([])).status).toBe(errno.EINVAL);
    expect((await receive([[valueInout, 0, 0, 0]])).status).toBe(errno.EINVAL);
    const call = ask();
    // Without room for its parameter the request stays where it is.
    expect((await receive([[meta, 0, 0, 0]])).status).toBe(errno.EINVAL);
    const { id } = await receive();
    expect(await send(0, [[meta | valueInout, id, 0, 0]])).toBe(errno.EINVAL);
    expect(await answer(id)).toBe(0);
    expect(await answer(id)).toBe(errno.ENOENT);
    expect((await call).result).toBe(TeeResult.SUCCESS);
    await opened.close();
  });

  it('gives one request at a time to a supplicant that uses no ids', async () => {
    const { opened, ask } = await client();
    const call = ask();
    const { command, count } = await receive([none, none]);
    expect([command, count]).toEqual([RpcCommand.plugin, 1]);
    expect((await receive([none])).status).toBe(errno.EINVAL);
    expect(await send(TeeResult.SUCCESS, [none])).toBe(0);
    expect((await call).result).toBe(TeeResult.SUCCESS);
    await opened.close();
  });

  it('ends requests with COMMUNICATION when their supplicant dies', async () => {
    const { opened, ask } = await client();
    const call = ask();
    await receive();
    await supplicant.close();
    expect((await call).result).toBe(TeeResult.ERROR_COMMUNICATION);
    await opened.close();
  });
});
