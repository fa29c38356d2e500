import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openTee, RpcCommand, startSupplicant, type Tee, TeeResult, trustedApplication } from '../../src/index.js';
import { RpcFs, RpcSocket } from '../../src/protocol/optee-rpc-command.js';
import { FolderFileSystem } from '../../src/supplicant/node/folder-file-system.js';
import { nodeSockets } from '../../src/supplicant/node/node-sockets.js';
import type { ReeSocket } from '../../src/supplicant/socket-service.js';
import { AskingTee, ask, input, octets, output, text } from '../support/asking-application.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-leaving-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What this process has open below the folder. */
const openFiles = () =>
  readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(folder);
    } catch {
      return false;
    }
  }).length;

const createFile = (tee: AskingTee, name: string) => tee.ask(RpcCommand.fs, [input(RpcFs.create), text(name), output]);
const numberIn = (param: unknown) => (param as { readonly a: number }).a;

describe('a supplicant that detaches', () => {
  it('closes the files of secure world, and is released', async () => {
    await using tee = await AskingTee.open({}, { storageFolder: join(folder, 'first') });
    await tee.tee.close();
    await using next = await AskingTee.open({ fileSystem: new FolderFileSystem(folder) });
    for (let number = 0; number < 5; number++) expect((await createFile(next, `f${number}`)).result).toBe(0);
    // The lock is the sixth.
    expect(openFiles()).toBe(6);
    await next.tee.close();
    expect(openFiles()).toBe(0);
  });

  it('closes the sockets of secure world: their peers see it', async () => {
    const server: Server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const connection = once(server, 'connection') as Promise<[Socket]>;
    await using tee = await AskingTee.open({ sockets: nodeSockets });
    const open = [input(RpcSocket.open, 7), input(port, 101, 0), text('127.0.0.1'), output];
    expect((await tee.ask(RpcCommand.socket, open)).result).toBe(TeeResult.SUCCESS);
    const [peer] = await connection;
    const ended = once(peer.resume(), 'end');
    await tee.tee.close();
    await ended;
    peer.destroy();
    server.close();
  });

  it('does not have its handle numbers reused by another', async () => {
    const numbers: number[] = [];
    let todo: (call: Parameters<typeof ask>[0]) => Promise<void> = async () => {};
    const application = trustedApplication({
      uuid: '11111111-0000-4000-8000-000000000abc',
      kind: 'pseudo',
      create: () => ({ invokeCommand: (call) => todo(call) }),
    });
    await using tee = await openTee({ supplicant: false, trustedApplications: [application] });
    const session = await tee.openContext().openSession(application.uuid);
    todo = async (call) => {
      const { params } = await ask(call, RpcCommand.fs, [input(RpcFs.create), text('a'), output]);
      numbers.push(numberIn(params[2]));
    };
    const results: number[] = [];
    for (let round = 0; round < 3; round++) {
      const supplicant = startSupplicant(tee, { fileSystem: new FolderFileSystem(folder) });
      await session.invoke(0);
      if (round > 0) {
        const create = todo;
        todo = async (call) => {
          const asked = [input(RpcFs.write, numbers[round - 1] ?? -1, 0), octets('input', new Uint8Array(4))];
          results.push((await ask(call, RpcCommand.fs, asked)).result);
        };
        await session.invoke(0);
        todo = create;
      }
      await supplicant[Symbol.asyncDispose]();
      expect(openFiles()).toBe(0);
    }
    expect(new Set(numbers).size).toBe(3);
    expect(results).toEqual([TeeResult.ERROR_BAD_PARAMETERS, TeeResult.ERROR_BAD_PARAMETERS]);
  });

  it('does not wait for a service that does not end when the TEE closes', async () => {
    let asked = () => {};
    const begun = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const never = () => {
      asked();
      return new Promise<number>(() => {});
    };
    await using tee = await AskingTee.open({ services: new Map([[77, never]]) });
    void tee.ask(77, []).catch(() => {});
    await begun;
    await tee.tee.close();
  });

  it('waits at most five seconds for its open resources, and reports it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const never = () => new Promise<never>(() => {});
      const file = { read: () => 0, write() {}, truncate() {}, close: never };
      const tee = await AskingTee.open({
        fileSystem: { open: () => file, create: () => file, remove() {}, rename() {}, list: () => [] },
      });
      expect((await createFile(tee, 'a')).result).toBe(TeeResult.SUCCESS);
      const closed = tee.tee.close();
      while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
      await vi.advanceTimersByTimeAsync(5_000);
      await closed;
      expect(tee.reported.map(({ message }) => message).join()).toContain(
        'have not finished: their open files and sockets',
      );
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a client that dies', () => {
  const invoking = async (tee: Tee, uuid: string) => {
    const client = tee.openContext();
    const session = await client.openSession(uuid);
    const invoked = session.invoke(0).catch(() => {});
    return { client, invoked };
  };

  it('during a call leaves no file open that its application closes at its end', async () => {
    let opened: () => void = () => {};
    let release: () => void = () => {};
    const application = trustedApplication({
      uuid: '11111111-0000-4000-8000-000000000abd',
      kind: 'pseudo',
      concurrent: true,
      create: () => ({
        async invokeCommand(call) {
          const { params } = await ask(call, RpcCommand.fs, [input(RpcFs.create), text('a'), output]);
          try {
            opened();
            // Its client dies here: nobody answers.
            await call.rpc(77, []);
          } finally {
            await call.rpc(RpcCommand.fs, [
              { type: 'value', direction: 'input', a: RpcFs.close, b: numberIn(params[2]), c: 0 },
            ]);
            release();
          }
        },
      }),
    });
    await using tee = await openTee({
      trustedApplications: [application],
      storageFolder: folder,
      supplicant: { services: new Map([[77, () => new Promise<number>(() => {})]]) },
    });
    const before = openFiles();
    for (let death = 0; death < 20; death++) {
      const hasOpened = new Promise<void>((resolve) => {
        opened = resolve;
      });
      const closed = new Promise<void>((resolve) => {
        release = resolve;
      });
      const { client, invoked } = await invoking(tee, application.uuid);
      await hasOpened;
      await client.kill();
      await invoked;
      await closed;
    }
    await tee.close();
    expect(openFiles()).toBe(0);
    expect(before).toBe(1);
  });

  it('while a file or socket is being opened leaves neither open', async () => {
    const ended: string[] = [];
    const opening: ((thing: unknown) => void)[] = [];
    const later = <T>(thing: T) =>
      new Promise<T>((resolve) => {
        opening.push(() => resolve(thing));
      });
    const file = { read: () => 0, write() {}, truncate() {}, close: () => void ended.push('file') };
    const socket = {
      send: async () => 0,
      receive: async () => ({ data: new Uint8Array(), available: 0 }),
      ioctl: async () => {},
      close: () => void ended.push('socket'),
    } satisfies ReeSocket;
    let asked: readonly Parameters<typeof ask>[2][number][] = [];
    let command = 0;
    const application = trustedApplication({
      uuid: '11111111-0000-4000-8000-000000000abe',
      kind: 'pseudo',
      concurrent: true,
      create: () => ({ invokeCommand: async (call) => void (await ask(call, command, asked)) }),
    });
    await using tee = await openTee({
      trustedApplications: [application],
      supplicant: {
        fileSystem: { open: () => later(file), create: () => later(file), remove() {}, rename() {}, list: () => [] },
        sockets: { open: () => later(socket) },
      },
    });
    for (const [number, params] of [
      [RpcCommand.fs, [input(RpcFs.open), text('a'), output]],
      [RpcCommand.socket, [input(RpcSocket.open, 7), input(80, 101, 0), text('host'), output]],
    ] as const) {
      command = number;
      asked = params;
      const { client, invoked } = await invoking(tee, application.uuid);
      while (opening.length === 0) await new Promise((resolve) => setImmediate(resolve));
      await client.kill();
      await invoked;
      opening.pop()?.(undefined);
      while (ended.length === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(ended.splice(0)).toEqual([number === RpcCommand.fs ? 'file' : 'socket']);
    }
  });
});
