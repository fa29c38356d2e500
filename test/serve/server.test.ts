import { once } from 'node:events';
import { readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTee, type Tee } from '../../src/index.js';
import { LoginClass } from '../../src/protocol/optee-msg.js';
import { TeeOrigin, TeeResult } from '../../src/protocol/tee-result.js';
import { TeeServer } from '../../src/serve/tee-server.js';
import { FileKind, Operation } from '../../src/serve/wire.js';
import { clientLogin } from '../../src/tee/login.js';
import { Command, Gate, pseudoTa, userTa } from '../support/applications.js';
import {
  invokeArg,
  nullMemory,
  type Param,
  params,
  parseInvoke,
  request,
  WireClient,
  WireConnection,
  type WireFile,
} from '../support/wire-client.js';

const errno = { EPERM: -1, ENOENT: -2, EBADF: -9, ENOMEM: -12, EBUSY: -16, EINVAL: -22 } as const;
const valueInout = 3;
const memrefInout = 7;

describe('a served TEE', () => {
  let tee: Tee;
  let server: TeeServer;
  let gate: Gate;
  const clients: WireClient[] = [];
  const openClient = async () => {
    const client = await WireClient.open(server.path);
    clients.push(client);
    return client;
  };

  const memoryOf = (file: WireFile, length: number) => {
    const bytes = Buffer.alloc(length);
    readSync(tee.memoryFile?.fd ?? -1, bytes, 0, length, file.offset);
    return bytes;
  };

  beforeEach(async () => {
    gate = new Gate();
    tee = await openTee({
      memoryFile: true,
      trustedApplications: [userTa, pseudoTa],
      supplicant: { services: gate.services },
    });
    server = await TeeServer.listen(tee);
  });

  afterEach(async () => {
    gate.open();
    for (const client of clients.splice(0)) await client.close();
    await server[Symbol.asyncDispose]();
    expect(server.openFiles).toBe(0);
    await tee.close();
    expect(tee.sharedMemoryInUse).toBe(0);
  });

  it('has a socket for its owner alone, in a private folder', () => {
    expect(statSync(server.path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(server.path)).mode & 0o777).toBe(0o700);
  });

  it('is /dev/tee0 and no other device', async () => {
    expect((await openClient()).file).toMatchObject({ status: 0, kind: FileKind.device });
    expect((await WireClient.open(server.path, 'tee1')).file.status).toBe(errno.ENOENT);
    expect((await WireClient.open(server.path, 'teepriv0')).file.status).toBe(errno.EBUSY);
  });

  it('reports its version: OP-TEE of TrustZone, GlobalPlatform, registered memory, null references', async () => {
    const { status, body } = await (await openClient()).ioctl(Operation.version, Buffer.alloc(12));
    expect([status, body.readUInt32LE(0), body.readUInt32LE(4), body.readUInt32LE(8)]).toEqual([0, 1, 1, 1 | 4 | 8]);
  });

  it('carries values to a TA and back', async () => {
    const client = await openClient();
    const { session, result } = await client.openSession(userTa.uuid);
    expect(result).toBe(TeeResult.SUCCESS);
    expect(await client.invoke(session, Command.add, [[valueInout, 40, 2, 7]])).toMatchObject({
      status: 0,
      result: TeeResult.SUCCESS,
      words: [[42, 2, 7]],
    });
    expect(await client.closeSession(session)).toBe(0);
    expect(await client.closeSession(session)).toBe(errno.EINVAL);
  });

  it('returns a result with its origin, or an errno, as the kernel does', async () => {
    const client = await openClient();
    expect(await client.openSession('00000000-1111-4222-8333-444444444444')).toMatchObject({
      status: 0,
      result: TeeResult.ERROR_ITEM_NOT_FOUND,
      origin: TeeOrigin.TEE,
    });
    const { session } = await client.openSession(userTa.uuid);
    expect(await client.invoke(session, Command.fail, [[valueInout, TeeResult.ERROR_BUSY, 0, 0]])).toMatchObject({
      status: 0,
      result: TeeResult.ERROR_BUSY,
      origin: TeeOrigin.TRUSTED_APP,
    });
    expect((await client.invoke(session + 1, Command.add)).status).toBe(errno.EINVAL);
    expect((await client.invoke(session, Command.add, [[4, 0, 0, 0]])).status).toBe(errno.EINVAL);
    expect((await client.invoke(session, Command.add, [[1n << 32n, 0, 0, 0]])).status).toBe(errno.EINVAL);
    expect((await client.ioctl(Operation.supplicantReceive, Buffer.alloc(8))).status).toBe(errno.EINVAL);
    expect((await client.ioctl(77, Buffer.alloc(8))).status).toBe(errno.EINVAL);
  });

  it('refuses arguments with inconsistent sizes', async () => {
    const client = await openClient();
    const wrong = Buffer.concat([invokeArg(1, 1), params([[0, 0, 0, 0]])]);
    expect((await client.ioctl(Operation.invoke, wrong)).status).toBe(errno.EINVAL);
    expect((await client.ioctl(Operation.invoke, Buffer.alloc(23))).status).toBe(errno.EINVAL);
    expect((await client.ioctl(Operation.closeSession, Buffer.alloc(5))).status).toBe(errno.EINVAL);
    expect((await client.ioctl(Operation.version, Buffer.alloc(0))).status).toBe(errno.EINVAL);
  });

  it("takes the client's identity from the socket, whatever the client claims", async () => {
    const client = await openClient();
    const identity = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, groups: [] };
    const told = async (login: number, clientUuid = Buffer.alloc(16)) => {
      const { session, status } = await client.openSession(userTa.uuid, login, clientUuid);
      if (status < 0) return status;
      const page = await client.shmAlloc(4096);
      const { words } = await client.invoke(session, Command.whoAmI, [
        [valueInout, 0, 0, 0],
        [memrefInout, 0, 36, page.id],
      ]);
      const uuid = memoryOf(page, 36).toString('latin1');
      await page.connection.end();
      return { loginClass: words[0]?.[0], uuid };
    };
    const gid = Buffer.alloc(16);
    gid.writeUInt32LE(identity.gid);
    expect(await told(LoginClass.public)).toEqual(clientLogin({ login: 'public' }, identity, false));
    expect(await told(LoginClass.user, Buffer.alloc(16, 0xee))).toEqual(
      clientLogin({ login: 'user' }, identity, false),
    );
    expect(await told(LoginClass.group, gid)).toEqual(
      clientLogin({ login: 'group', gid: identity.gid }, identity, false),
    );
    gid.writeUInt32LE(0x7fff_fff1);
    expect(await told(LoginClass.group, gid)).toBe(errno.EPERM);
    expect(await told(LoginClass.reeKernel)).toBe(errno.EPERM);
    expect(await told(LoginClass.application)).toBe(errno.EINVAL);
    expect(await told(0xc000_0000)).toBe(errno.EINVAL);
  });

  it('allocates memory in whole pages, with ids that only their owner can use', async () => {
    const client = await openClient();
    const stranger = await openClient();
    const page = await client.shmAlloc(100);
    expect(page).toMatchObject({ status: 0, kind: FileKind.sharedMemory, size: 4096, token: client.token });
    expect(page.offset % 4096).toBe(0);
    const mine: Param = [memrefInout, 0, 100, page.id];
    const { session } = await client.openSession(userTa.uuid);
    expect((await client.invoke(session, Command.reverse, [mine])).result).toBe(TeeResult.SUCCESS);
    expect((await client.invoke(session, Command.reverse, [[memrefInout, 1, 4096, page.id]])).status).toBe(
      errno.EINVAL,
    );
    expect((await client.invoke(session, Command.reverse, [[memrefInout, 0, 1, page.id + 1]])).status).toBe(
      errno.EINVAL,
    );
    expect((await client.invoke(session, Command.reverse, [[memrefInout, 0, 0, nullMemory]])).status).toBe(0);

    const theirs = await stranger.openSession(userTa.uuid);
    expect((await stranger.invoke(theirs.session, Command.reverse, [mine])).status).toBe(errno.EINVAL);
    expect((await stranger.invoke(session, Command.add)).status).toBe(errno.EINVAL);
    expect((await stranger.invoke(session, Command.add, [], 'ab'.repeat(16))).status).toBe(errno.EBADF);
    await page.connection.end();
    // The server hears of it in its own time, but before it hears of what comes after it.
    expect((await client.invoke(session, Command.reverse, [mine])).status).toBe(errno.EINVAL);
  });

  it('assigns unique ids, and accepts none of another file', async () => {
    const [one, two] = [await openClient(), await openClient()];
    const pages = [await one.shmAlloc(4096), await two.shmAlloc(4096), await one.shmRegister(4096n, 10n)];
    expect(new Set(pages.map(({ id }) => id)).size).toBe(3);
    const { session } = await one.openSession(userTa.uuid);
    const use = async (id: number) => (await one.invoke(session, Command.reverse, [[memrefInout, 0, 4, id]])).status;
    expect(await Promise.all(pages.map(({ id }) => use(id)))).toEqual([0, errno.EINVAL, 0]);
    for (const page of pages) await page.connection.end();
  });

  it('ignores data written to a file', async () => {
    const client = await openClient();
    const page = await client.shmAlloc(4096);
    for (const { connection } of [client.file, page]) connection.send(Buffer.alloc(5000, 0x4e));
    const { session } = await client.openSession(userTa.uuid);
    expect((await client.invoke(session, Command.reverse, [[memrefInout, 0, 4, page.id]])).result).toBe(0);
    await page.connection.end();
  });

  it("places a registered buffer at the client's offset in its pages, with exactly its size", async () => {
    const client = await openClient();
    const marks: string[] = [];
    tee.trace.listen((event) => {
      if (event.type === 'mark') marks.push(event.text);
    });
    const buffer = await client.shmRegister(0x7fff_0000_0ffcn, 10n, 4);
    expect(buffer).toMatchObject({ status: 0, kind: FileKind.registeredMemory, size: 8192 });
    const { session } = await client.openSession(userTa.uuid);
    const fill = (offset: number, size: number) =>
      client.invoke(session, Command.fill, [
        [valueInout, size, 0, 0],
        [memrefInout, offset, size, buffer.id],
      ]);
    expect((await fill(3, 7)).result).toBe(TeeResult.SUCCESS);
    expect(memoryOf(buffer, 8192)).toEqual(
      Buffer.concat([Buffer.alloc(0xfff), Buffer.alloc(7, 0xa5), Buffer.alloc(4090)]),
    );
    expect((await fill(3, 8)).status).toBe(errno.EINVAL);
    expect((await fill(11, 0)).status).toBe(errno.EINVAL);
    expect(marks).toEqual([
      expect.stringMatching(/^client 1 \(process \d+\): its buffer is memory 1, 10 bytes, copied .*threads/),
    ]);
    await buffer.connection.end();
  });

  it('refuses a buffer of 0 bytes, too large, with flags, or with an unknown way of sharing', async () => {
    const client = await openClient();
    const statusOf = async (...args: Parameters<typeof client.shmRegister>) =>
      (await client.shmRegister(...args)).status;
    expect(await statusOf(4096n, 0n)).toBe(errno.ENOMEM);
    expect(await statusOf(2n ** 64n - 1n, 2n ** 52n)).toBe(errno.ENOMEM);
    expect(await statusOf(4096n, 10n, 2, 0, 1)).toBe(errno.EINVAL);
    expect(await statusOf(4096n, 10n, 0)).toBe(errno.EINVAL);
    expect(await statusOf(4096n, 10n, 6)).toBe(errno.EINVAL);
    expect(await statusOf(4096n, 4096n, 1, 2)).toBe(errno.EINVAL);
  });

  it('refuses memory of 0 bytes, too large, or with flags', async () => {
    const client = await openClient();
    expect((await client.shmAlloc(0)).status).toBe(errno.ENOMEM);
    expect((await client.shmAlloc(4096, 1)).status).toBe(errno.EINVAL);
    expect((await client.shmAlloc(2 ** 52)).status).toBe(errno.ENOMEM);
    expect((await client.shmAlloc(0x3fff_ffff)).status).toBe(errno.ENOMEM);
  });

  it('discloses no data of another client', async () => {
    const client = await openClient();
    const { session } = await client.openSession(userTa.uuid);
    const before = await client.shmAlloc(4096);
    const fill: Param[] = [
      [valueInout, 4096, 0, 0],
      [memrefInout, 0, 4096, before.id],
    ];
    expect((await client.invoke(session, Command.fill, fill)).result).toBe(TeeResult.SUCCESS);
    await before.connection.end();
    const bytes = async (from: WireClient) => {
      const page = await from.shmAlloc(4096);
      const found = memoryOf(page, 4096);
      await page.connection.end();
      return found;
    };
    expect(await bytes(client)).toEqual(Buffer.alloc(4096));
    expect(await bytes(await openClient())).toEqual(Buffer.alloc(4096));
  });

  it("keeps a client's resources until the last descriptor is closed", async () => {
    const client = await WireClient.open(server.path);
    const page = await client.shmAlloc(4096);
    const closed: string[] = [];
    const end = new Promise<void>((resolve) => {
      tee.trace.listen((event) => {
        if (event.type === 'session-close') {
          closed.push(event.context);
          resolve();
        }
      });
    });
    const { session } = await client.openSession(userTa.uuid);
    await client.close();
    expect((await client.invoke(session, Command.add)).status).toBe(errno.EBADF);
    expect([closed, server.openFiles]).toEqual([[], 1]);
    await page.connection.end();
    await end;
    expect(closed.length).toBe(1);
  });

  it('ends the calls of a client that dies, and closes its sessions', async () => {
    const client = await WireClient.open(server.path);
    const { session } = await client.openSession(userTa.uuid);
    const call = await WireConnection.open(server.path);
    const ended = new Promise<void>((resolve) => {
      tee.trace.listen((event) => {
        if (event.type === 'session-close') resolve();
      });
    });
    // Nobody ever answers what it asks.
    call.send(request(Operation.invoke, client.token, invokeArg(session, Command.ask)));
    await gate.reached(1);
    await Promise.all([client.close(), call.end()]);
    await ended;
  });

  it('completes a call whose file is closed meanwhile', async () => {
    const client = await WireClient.open(server.path);
    const { session } = await client.openSession(userTa.uuid);
    const call = await WireConnection.open(server.path);
    call.send(request(Operation.invoke, client.token, invokeArg(session, Command.ask)));
    await gate.reached(1);
    await client.close();
    gate.open();
    expect(parseInvoke(await call.answer())).toMatchObject({ status: 0, result: TeeResult.SUCCESS });
    await call.end();
  });

  it("cancels a request by the client's cancellation id", async () => {
    const client = await openClient();
    const { session } = await client.openSession(userTa.uuid);
    const call = await WireConnection.open(server.path);
    call.send(request(Operation.invoke, client.token, invokeArg(session, Command.askCancellably, [], 9)));
    await gate.reached(1);
    const cancel = Buffer.alloc(8);
    cancel.writeUInt32LE(9, 0);
    cancel.writeUInt32LE(session, 4);
    expect((await client.ioctl(Operation.cancel, cancel)).status).toBe(0);
    gate.open();
    expect(parseInvoke(await call.answer())).toMatchObject({ status: 0, result: TeeResult.ERROR_CANCEL });
    await call.end();
  });

  it('closes a connection that violates the protocol, and no other', async () => {
    const client = await openClient();
    const good = request(Operation.version, client.token, Buffer.alloc(12));
    const broken: Buffer[] = [
      Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(32)]),
      Buffer.concat([good, Buffer.from([1])]),
      Buffer.concat([good.subarray(0, 12), Buffer.from([1, 0, 0, 0]), good.subarray(16)]),
      (() => {
        const long = Buffer.from(good);
        long.writeUInt32LE(4097, 8);
        return long;
      })(),
    ];
    for (const bytes of broken) {
      const connection = await WireConnection.open(server.path);
      connection.send(bytes);
      await connection.closed();
    }
    const channel = await WireConnection.open(server.path);
    channel.send(good);
    await channel.answer();
    channel.send(request(Operation.openDevice, '', Buffer.from('tee0')));
    await channel.closed();
    expect((await (await openClient()).ioctl(Operation.version, Buffer.alloc(12))).status).toBe(0);
  });
});

describe('a server', () => {
  it('closes a connection with an incomplete request', async () => {
    await using tee = await openTee({ memoryFile: true });
    await using server = await TeeServer.listen(tee, { requestLimitMs: 1 });
    for (const bytes of [Buffer.alloc(0), request(Operation.openDevice, '', Buffer.from('tee0')).subarray(0, 33)]) {
      const connection = await WireConnection.open(server.path);
      connection.send(bytes);
      await connection.closed();
    }
  });

  it('listens in a worker, without a warning', async () => {
    const [index, server] = ['index', 'serve/tee-server'].map(
      (name) => new URL(`../../dist/${name}.js`, import.meta.url).href,
    );
    const code = `
      (async () => {
        const { openTee } = await import('${index}');
        const { TeeServer } = await import('${server}');
        const tee = await openTee({ memoryFile: true });
        await (await TeeServer.listen(tee))[Symbol.asyncDispose]();
        await tee.close();
      })();`;
    const worker = new Worker(code, { eval: true, stderr: true });
    let said = '';
    worker.stderr.on('data', (text) => {
      said += text;
    });
    expect([await once(worker, 'exit'), said]).toEqual([[0], '']);
  });
});
