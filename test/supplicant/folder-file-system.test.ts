import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openTee, RpcCommand, startSupplicant, TeecError, TeeResult } from '../../src/index.js';
import { RpcFs } from '../../src/protocol/optee-rpc-command.js';
import { FolderFileSystem } from '../../src/supplicant/node/folder-file-system.js';
import { AskingTee, input, octets, output, text } from '../support/asking-application.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-storage-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const code = (result: number) => expect.objectContaining({ code: result });
const bytes = (of: string) => new TextEncoder().encode(of);
const storage = () => join(folder, 'tee');
/** Without rights that root has whatever the mode of a file says. */
const asUser = async <T>(work: () => Promise<T>): Promise<T> => {
  if (process.geteuid?.() !== 0) return work();
  chmodSync(folder, 0o777);
  process.setegid?.(65534);
  process.seteuid?.(65534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
};

const made = (make: (path: string) => void): string => {
  make(storage());
  return storage();
};

describe('a storage folder that cannot be used', () => {
  const unusable: readonly [string, () => string][] = [
    ['lies below a file', () => '/dev/null/x'],
    ['is a file', () => made((path) => writeFileSync(path, ''))],
    ['is a link to nowhere', () => made((path) => symlinkSync(join(folder, 'nowhere'), path))],
    ['is a link to itself', () => made((path) => symlinkSync(path, path))],
    ['can be named in /proc and not be made', () => '/proc/self/x'],
    ['has a name that is too long', () => join(folder, 'x'.repeat(300))],
  ];
  it.each(unusable)('because it %s is reported when the TEE opens', async (_, path) => {
    const root = path();
    const opening = openTee({ storageFolder: root });
    await expect(opening).rejects.toThrow(TeecError);
    await expect(opening).rejects.toEqual(code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE));
    await expect(opening).rejects.toThrow(`storage folder ${root} cannot be used: `);
  });

  it('because it is a link to nowhere is reported with the link and its target', async () => {
    for (const root of [storage(), join(storage(), 'below')]) {
      rmSync(storage(), { force: true });
      symlinkSync(join(folder, 'nowhere'), storage());
      await expect(openTee({ storageFolder: root })).rejects.toThrow(
        `${storage()} is a symbolic link to ${join(folder, 'nowhere')}, which does not exist`,
      );
    }
  });

  it('because it has no name is refused as an option', async () => {
    await expect(openTee({ storageFolder: '' })).rejects.toThrow(
      'openTee: storageFolder must have paths of folders, not an empty one',
    );
  });

  it('and is first used by a request gives STORAGE_NOT_AVAILABLE', async () => {
    await expect(new FolderFileSystem('/dev/null/x').open('a')).rejects.toEqual(
      code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE),
    );
    await expect(new FolderFileSystem('/proc/self/x').create('a')).rejects.toEqual(
      code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE),
    );
  });
});

describe('a storage folder', () => {
  it('belongs to one TEE of a process at a time', async () => {
    const first = await openTee({ storageFolder: storage() });
    const second = openTee({ storageFolder: storage() });
    await expect(second).rejects.toEqual(code(TeeResult.ERROR_BUSY));
    await expect(second).rejects.toThrow(/another TEE of this process uses it/);
    // By whatever name.
    symlinkSync(storage(), join(folder, 'alias'));
    await expect(openTee({ storageFolder: join(folder, 'alias') })).rejects.toEqual(code(TeeResult.ERROR_BUSY));
    await first.close();
    await (await openTee({ storageFolder: storage() })).close();
  });

  it('belongs to one process at a time, whose pid is reported, until it ends, also by kill -9', async () => {
    const program = `
      import { openTee } from ${JSON.stringify(resolve(import.meta.dirname, '../../dist/index.js'))};
      await openTee({ storageFolder: ${JSON.stringify(storage())} });
      console.log('ready');
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(holder.stdout, 'data');
      await expect(openTee({ storageFolder: storage() })).rejects.toThrow(`a TEE of process ${holder.pid}`);
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    await (await openTee({ storageFolder: storage() })).close();
  });

  it('passes from a detached supplicant to the next one of its TEE', async () => {
    const files = new FolderFileSystem(storage());
    await using tee = await openTee({ supplicant: false });
    await using other = await openTee({ supplicant: false });
    const first = startSupplicant(tee, { fileSystem: files });
    expect(() => startSupplicant(other, { fileSystem: files })).toThrow(/uses it/);
    first[Symbol.dispose]();
    const second = startSupplicant(tee, { fileSystem: files });
    await first.released;
    expect(() => startSupplicant(other, { fileSystem: files })).toThrow(/uses it/);
    await second[Symbol.asyncDispose]();
    await startSupplicant(other, { fileSystem: new FolderFileSystem(storage()) })[Symbol.asyncDispose]();
  });

  it('that is only read is shared with other readers, and is neither written nor created', async () => {
    await expect(openTee({ storageFolder: storage(), storageReadOnly: true })).rejects.toEqual(
      code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE),
    );
    expect(existsSync(storage())).toBe(false);
    mkdirSync(storage());
    writeFileSync(join(storage(), 'a'), 'kept');
    const files = () => new FolderFileSystem(storage(), { readOnly: true });
    await using one = await AskingTee.open({ fileSystem: files() });
    await using two = await AskingTee.open({ fileSystem: files() });
    await expect(openTee({ storageFolder: storage() })).rejects.toEqual(code(TeeResult.ERROR_BUSY));
    for (const tee of [one, two]) {
      const { params } = await tee.ask(RpcCommand.fs, [input(RpcFs.open), text('a'), output]);
      const handle = params[2]?.type === 'value' ? params[2].a : -1;
      const read = await tee.ask(RpcCommand.fs, [input(RpcFs.read, handle, 0), octets('output', 10)]);
      expect(new TextDecoder().decode(read.bytes[1])).toBe('kept');
      const refused = [
        [input(RpcFs.write, handle, 0), octets('input', bytes('x'))],
        [input(RpcFs.truncate, handle, 0)],
        [input(RpcFs.create), text('b'), output],
        [input(RpcFs.remove), text('a')],
        [input(RpcFs.rename, 1), text('a'), text('c')],
      ];
      for (const asked of refused)
        expect((await tee.ask(RpcCommand.fs, asked)).result).toBe(TeeResult.ERROR_STORAGE_NOT_AVAILABLE);
    }
    expect(readdirSync(storage())).toEqual(['a']);
    expect(readFileSync(join(storage(), 'a'), 'utf8')).toBe('kept');
  });
});

describe('files in a folder', () => {
  let files: FolderFileSystem;
  beforeEach(() => {
    mkdirSync(storage());
    files = new FolderFileSystem(storage());
  });
  const content = async (name: string): Promise<string> => {
    const file = await files.open(name);
    const buffer = new Uint8Array(100);
    const length = await file.read(0, buffer);
    await file.close();
    return new TextDecoder().decode(buffer.subarray(0, length));
  };
  const create = async (name: string, of = name) => {
    const file = await files.create(name);
    await file.write(0, bytes(of));
    await file.close();
  };

  it('that may only be read are read', async () => {
    writeFileSync(join(storage(), 'a'), 'kept', { mode: 0o444 });
    chmodSync(storage(), 0o555);
    await asUser(async () => {
      expect(await content('a')).toBe('kept');
      const file = await files.open('a');
      await expect(file.write(0, bytes('x'))).rejects.toEqual(code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE));
      await file.close();
      await expect(files.create('b')).rejects.toEqual(code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE));
      await expect(files.remove('a')).rejects.toEqual(code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE));
    });
    chmodSync(storage(), 0o755);
  });

  it('that cannot be read are not reported as missing, because OP-TEE would create new ones', async () => {
    writeFileSync(join(storage(), 'a'), 'kept', { mode: 0 });
    await asUser(() => expect(files.open('a')).rejects.toEqual(code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE)));
  });

  it('are regular files, or are reported as missing', async () => {
    mkdirSync(join(storage(), 'folder'));
    execFileSync('mkfifo', [join(storage(), 'fifo')]);
    await expect(files.open('folder')).rejects.toEqual(code(TeeResult.ERROR_ITEM_NOT_FOUND));
    await expect(files.open('fifo')).rejects.toEqual(code(TeeResult.ERROR_ITEM_NOT_FOUND));
    await expect(files.create('fifo')).rejects.toEqual(code(TeeResult.ERROR_ITEM_NOT_FOUND));
    await create('a');
    await expect(files.open('a/b')).rejects.toEqual(code(TeeResult.ERROR_ITEM_NOT_FOUND));
    await expect(files.list('a')).rejects.toEqual(code(TeeResult.ERROR_ITEM_NOT_FOUND));
    await expect(files.list('nowhere')).rejects.toEqual(code(TeeResult.ERROR_ITEM_NOT_FOUND));
  });

  it('are not listed through a link that leads elsewhere', async () => {
    mkdirSync(join(folder, 'other'));
    writeFileSync(join(folder, 'other/secret'), '');
    for (const [name, target] of Object.entries({ link: join(folder, 'other'), up: '..', root: '/' })) {
      symlinkSync(target, join(storage(), name));
      await expect(files.list(name)).rejects.toEqual(code(TeeResult.ERROR_STORAGE_NOT_AVAILABLE));
    }
    await create('inside/a');
    symlinkSync('inside', join(storage(), 'within'));
    expect(await files.list('within')).toEqual(['a']);
  });

  it('are renamed by one of two concurrent requests, and none is lost', async () => {
    for (let round = 0; round < 40; round++) {
      await Promise.all([create('a'), create('b')]);
      const other = new FolderFileSystem(storage());
      const ends = await Promise.allSettled([files.rename('a', 'x', false), other.rename('b', 'x', false)]);
      expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(ends.find(({ status }) => status === 'rejected')).toMatchObject({
        reason: code(TeeResult.ERROR_ACCESS_CONFLICT),
      });
      expect((await files.list('')).length).toBe(2);
      for (const name of await files.list('')) await files.remove(name);
    }
  });

  it('are created while the last other one of their folder is removed', async () => {
    await create('d/0');
    for (let round = 0; round < 40; round++) {
      await Promise.all([files.remove(`d/${round}`), create(`d/${round + 1}`)]);
      expect(await content(`d/${round + 1}`)).toBe(`d/${round + 1}`);
    }
  });

  it('are on the disk, and so are the folders with their names, when a change has returned', async () => {
    const probe = await open(storage());
    const handles = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    const { sync, datasync } = handles;
    const synced: string[] = [];
    const told = (own: (this: FileHandle) => Promise<void>) =>
      function (this: FileHandle): Promise<void> {
        synced.push(readlinkSync(`/proc/self/fd/${this.fd}`).slice(storage().length));
        return own.call(this);
      };
    vi.spyOn(handles, 'sync').mockImplementation(told(sync));
    vi.spyOn(handles, 'datasync').mockImplementation(told(datasync));
    try {
      const syncedBy = async (change: () => Promise<void>) => {
        synced.length = 0;
        await change();
        return [...synced];
      };
      expect(await syncedBy(() => create('d/e/a'))).toEqual(['', '/d', '/d/e']);
      expect(await syncedBy(() => create('d/b'))).toEqual(['/d']);
      expect(await syncedBy(() => files.rename('d/e/a', 'd/a', false))).toEqual(['/d', '/d/e']);
      expect(await syncedBy(() => files.rename('d/a', 'd/b', true))).toEqual(['/d']);
      const file = await files.open('d/b');
      expect(await syncedBy(async () => file.truncate(1))).toEqual(['/d/b']);
      await file.close();
      expect(await syncedBy(() => files.remove('d/b'))).toEqual(['/d']);
    } finally {
      vi.restoreAllMocks();
    }
    // What is written is there by O_SYNC.
    const file = await files.create('c');
    const number = readdirSync('/proc/self/fd').find(
      (each) => existsSync(`/proc/self/fd/${each}`) && readlinkSync(`/proc/self/fd/${each}`) === join(storage(), 'c'),
    );
    const [, flags = ''] = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${number}`, 'utf8')) ?? [];
    expect(Number.parseInt(flags, 8) & constants.O_SYNC).toBe(constants.O_SYNC);
    await file.close();
  });

  it('cannot have an invalid name', async () => {
    await expect(files.open('x'.repeat(256))).rejects.toEqual(code(TeeResult.ERROR_BAD_PARAMETERS));
    await expect(files.create(`${'x'.repeat(256)}/y`)).rejects.toEqual(code(TeeResult.ERROR_BAD_PARAMETERS));
  });

  it('are found although the folder of the first was removed', async () => {
    await create('a');
    rmSync(storage(), { recursive: true });
    await expect(files.open('a')).rejects.toEqual(code(TeeResult.ERROR_ITEM_NOT_FOUND));
    await expect(files.create('a')).rejects.toBeInstanceOf(TeecError);
  });
});

describe.each([
  ['in memory', async () => AskingTee.open({})],
  ['in a folder', async () => AskingTee.open({}, { storageFolder: storage() })],
] as const)('files %s', (_, open) => {
  const beyond = [2 ** 34 + 1, 2 ** 40, 2 ** 52, 2 ** 53, 2 ** 60, 2 ** 63, 2 ** 64 - 2 ** 11];
  it('are neither written nor truncated beyond the largest file size', async () => {
    await using tee = await open();
    const created = await tee.ask(RpcCommand.fs, [input(RpcFs.create), text('a'), output]);
    const handle = created.params[2]?.type === 'value' ? created.params[2].a : -1;
    const fs = (operation: number, offset: number, ...more: Parameters<AskingTee['ask']>[1]) =>
      tee.ask(RpcCommand.fs, [input(operation, handle, offset), ...more]);
    expect((await fs(RpcFs.write, 0, octets('input', bytes('AAAAAAAA')))).result).toBe(TeeResult.SUCCESS);
    for (const offset of beyond) {
      expect.soft((await fs(RpcFs.write, offset, octets('input', bytes('bb')))).result, `write ${offset}`).not.toBe(0);
      expect.soft((await fs(RpcFs.truncate, offset)).result, `truncate ${offset}`).not.toBe(0);
      const read = await fs(RpcFs.read, offset, octets('output', 8));
      expect.soft(read.result !== TeeResult.SUCCESS || read.bytes[1]?.length === 0, `read ${offset}`).toBe(true);
    }
    const back = await fs(RpcFs.read, 0, octets('output', 20));
    expect(new TextDecoder().decode(back.bytes[1])).toBe('AAAAAAAA');
    // As far as it reaches it costs what is written, not what is skipped.
    expect((await fs(RpcFs.truncate, 2 ** 34)).result).toBe(TeeResult.SUCCESS);
    expect((await fs(RpcFs.write, 2 ** 34 - 2, octets('input', bytes('ZZ')))).result).toBe(TeeResult.SUCCESS);
    const end = await fs(RpcFs.read, 2 ** 34 - 4, octets('output', 20));
    expect(new TextDecoder().decode(end.bytes[1])).toBe('\0\0ZZ');
    if (existsSync(storage())) expect(statSync(join(storage(), 'a')).blocks).toBeLessThan(1000);
  });

  it('are not read into more memory than there is', async () => {
    await using tee = await open();
    const created = await tee.ask(RpcCommand.fs, [input(RpcFs.create), text('a'), output]);
    const handle = created.params[2]?.type === 'value' ? created.params[2].a : -1;
    for (const size of [1, 2 ** 31, 2 ** 32 - 1, 2 ** 50])
      for (const [operation, direction] of [[RpcFs.read, 'output'] as const, [RpcFs.write, 'input'] as const]) {
        const asked = [input(operation, handle, 0), { bytes: 'null', direction, content: size } as const];
        expect((await tee.ask(RpcCommand.fs, asked)).result).toBe(TeeResult.ERROR_BAD_PARAMETERS);
      }
  });
});
