import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Session, type Tee, type TeecError, temporary, value } from '../../src/index.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { MemoryFileSystem } from '../../src/supplicant/memory-file-system.js';
import type { ReeFile } from '../../src/supplicant/ree-file-system.js';
import { builtWith, named, onRealOptee, realOptions, whyNot, without } from '../worlds/qemu/real-optee.js';
import { openRealTee } from './real-tee.js';

/** ta/storage: GlobalPlatform's persistent objects as commands (ta/storage/include/ta_storage.h of OP-TEE/optee_test). */
const storage = 'b689f2a7-8adf-477a-9f99-32e90c0ad0a2';
const Command = {
  open: 0,
  close: 1,
  read: 2,
  write: 3,
  create: 4,
  seek: 5,
  unlink: 6,
  rename: 7,
  truncate: 8,
  allocateEnumerator: 9,
  freeEnumerator: 10,
  startEnumerator: 12,
  nextEnumerator: 13,
} as const;

// GlobalPlatform TEE Internal Core API, tables 5-2, 5-3 and 5-4; the storages of its own are OP-TEE's.
const storages = [
  ['files of the normal world', 0x8000_0000, without('CFG_REE_FS')],
  ['RPMB', 0x8000_0100, builtWith('CFG_RPMB_FS') === 'y' ? undefined : 'CFG_RPMB_FS=n'],
] as const;
const flags = 0x1 | 0x2 | 0x4;
const overwrite = 0x400;
const Whence = { set: 0, current: 1, end: 2 } as const;

const code = (name: keyof typeof TeeResult) => expect.objectContaining({ code: TeeResult[name] });
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (characters: string) => new TextEncoder().encode(characters);

for (const [where, storageId, lacking] of storages) {
  const title = onRealOptee(named(`regression group 6000: secure storage in ${where}`, lacking));
  describe.skipIf(whyNot !== undefined || lacking !== undefined)(title, () => storageTests(storageId));
}

function storageTests(storageId: number) {
  const onlyFiles = storageId === storages[0][1] ? undefined : 'there are no files in RPMB';
  let folder: string;
  let tee: Tee;
  let session: Session;

  async function start(): Promise<void> {
    tee = await openRealTee({
      storageFolder: folder,
      emmc: { ...realOptions().emmc, file: `${folder}.card` },
    });
    session = await tee.openContext().openSession(storage);
  }
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'normalworld-'));
    await start();
  });
  afterEach(async () => {
    await tee.close();
    await rm(folder, { recursive: true });
    await rm(`${folder}.card`);
  });

  const create = async (name: string, content: string, more = 0): Promise<number> => {
    const [, { b }] = await session.invoke(Command.create, [
      temporary.input(bytes(name)),
      value.inout(flags | more),
      value.input(0, storageId),
      temporary.input(bytes(content)),
    ]);
    return b;
  };
  const open = async (name: string): Promise<number> => {
    const [, { b }] = await session.invoke(Command.open, [
      temporary.input(bytes(name)),
      value.inout(flags),
      value.input(storageId),
    ]);
    return b;
  };
  const close = (handle: number) => session.invoke(Command.close, [value.input(handle)]);
  const read = async (handle: number, size: number): Promise<string> => {
    const [data, { b }] = await session.invoke(Command.read, [temporary.output(size), value.inout(handle)]);
    return text(data.subarray(0, b));
  };
  const write = (handle: number, content: string) =>
    session.invoke(Command.write, [temporary.input(bytes(content)), value.input(handle)]);
  const seek = async (handle: number, offset: number, whence: number): Promise<number> => {
    const [, { b }] = await session.invoke(Command.seek, [value.input(handle, offset >>> 0), value.inout(whence)]);
    return b;
  };

  it('6001-6003: an object is created, read, overwritten in part, and there after a restart of OP-TEE', async () => {
    const handle = await create('object', 'a text that is kept');
    expect(await read(handle, 100)).toBe('a text that is kept');
    expect(await seek(handle, 2, Whence.set)).toBe(2);
    await write(handle, 'TEXT');
    await close(handle);
    await tee.close();
    await start();
    const again = await open('object');
    expect(await read(again, 100)).toBe('a TEXT that is kept');
    await close(again);
  });

  it('6004: positions', async () => {
    const handle = await create('positions', '0123456789');
    expect(await seek(handle, -3, Whence.end)).toBe(7);
    expect(await read(handle, 2)).toBe('78');
    expect(await seek(handle, -4, Whence.current)).toBe(5);
    expect(await read(handle, 1)).toBe('5');
    await close(handle);
  });

  it('6005: an object that is deleted is gone', async () => {
    const handle = await create('deleted', 'x');
    await session.invoke(Command.unlink, [value.input(handle)]);
    await expect(open('deleted')).rejects.toEqual(code('ERROR_ITEM_NOT_FOUND'));
  });

  it('6006: truncated and extended, with zeros', async () => {
    const handle = await create('truncated', '0123456789');
    await session.invoke(Command.truncate, [value.input(handle, 4)]);
    await seek(handle, 0, Whence.set);
    expect(await read(handle, 100)).toBe('0123');
    await session.invoke(Command.truncate, [value.input(handle, 6)]);
    await seek(handle, 0, Whence.set);
    expect(await read(handle, 100)).toBe('0123\0\0');
    await close(handle);
  });

  it('6007: renamed', async () => {
    const handle = await create('before', 'content');
    await session.invoke(Command.rename, [value.input(handle), temporary.input(bytes('after'))]);
    await close(handle);
    await expect(open('before')).rejects.toEqual(code('ERROR_ITEM_NOT_FOUND'));
    const renamed = await open('after');
    expect(await read(renamed, 100)).toBe('content');
    await close(renamed);
  });

  it('6008: created over an existing one, only with OVERWRITE', async () => {
    await close(await create('twice', 'first'));
    await expect(create('twice', 'second')).rejects.toEqual(code('ERROR_ACCESS_CONFLICT'));
    await close(await create('twice', 'second', overwrite));
    const handle = await open('twice');
    expect(await read(handle, 100)).toBe('second');
    await close(handle);
  });

  it('6009: objects are enumerated, each once', async () => {
    const names = ['one', 'two', 'three'];
    for (const name of names) await close(await create(name, name));
    const [{ a: enumerator }] = await session.invoke(Command.allocateEnumerator, [value.output()]);
    await session.invoke(Command.startEnumerator, [value.input(enumerator, storageId)]);
    const found: string[] = [];
    const objectInfoSize = 64;
    for (;;) {
      const next = await session
        .invoke(Command.nextEnumerator, [
          value.input(enumerator),
          temporary.output(objectInfoSize),
          temporary.output(64),
        ])
        .catch((error: TeecError) => error.code);
      if (typeof next === 'number') {
        expect(next).toBe(TeeResult.ERROR_ITEM_NOT_FOUND);
        break;
      }
      found.push(text(next[2]));
    }
    expect(found.sort()).toEqual([...names].sort());
    await session.invoke(Command.freeEnumerator, [value.input(enumerator)]);
  });

  it('6010: a large object, byte for byte', async () => {
    const content = Array.from({ length: 3000 }, (_, index) => `line ${index}\n`).join('');
    await close(await create('large', content));
    const handle = await open('large');
    expect(await read(handle, 2 * content.length)).toBe(content);
    await close(handle);
  });

  /** Files that OP-TEE wrote when the object was made. */
  async function filesOf(name: string): Promise<string[]> {
    const before = await readdir(folder);
    await close(await create(name, 'secret'.repeat(1000)));
    return (await readdir(folder)).filter((file) => !before.includes(file) && !file.includes('dirf'));
  }

  it.skipIf(onlyFiles !== undefined)(
    named('6014: what lies in the normal world is not the content', onlyFiles),
    async () => {
      const [file = ''] = await filesOf('hidden');
      const stored = await readFile(join(folder, file));
      expect(stored.length).toBeGreaterThan(6000);
      expect(stored.includes('secret')).toBe(false);
    },
  );

  it.skipIf(onlyFiles !== undefined)(
    named('6015: a file changed behind its back is found out', onlyFiles),
    async () => {
      const [file = ''] = await filesOf('changed');
      const path = join(folder, file);
      const stored = await readFile(path);
      await writeFile(
        path,
        stored.map((byte) => byte ^ 0x01),
      );
      await expect(open('changed')).rejects.toEqual(code('ERROR_CORRUPT_OBJECT'));
    },
  );

  it.skipIf(onlyFiles !== undefined)(named('6016: a file deleted behind its back is missed', onlyFiles), async () => {
    const [file = ''] = await filesOf('stolen');
    await rm(join(folder, file));
    await expect(open('stolen')).rejects.toMatchObject({ name: 'TeecError' });
  });
}

/** Files in memory of which the next read fails, once, when it is asked for. */
class OneReadFails extends MemoryFileSystem {
  next = false;

  override open(name: string): ReeFile {
    return this.failing(super.open(name));
  }

  override create(name: string): ReeFile {
    return this.failing(super.create(name));
  }

  private failing(file: ReeFile): ReeFile {
    const read = file.read.bind(file);
    file.read = (offset, buffer) => {
      if (!this.next) return read(offset, buffer);
      this.next = false;
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
    };
    return file;
  }
}

describe.skipIf(whyNot !== undefined || storages[0][2] !== undefined)(
  onRealOptee(named('secure storage in files that fail', storages[0][2])),
  () => {
    // docs/findings.md: up to 4.5 the core panics, from 4.10 on it takes the object for damaged and removes it.
    it('an object whose file cannot be read once tells its client so, and is no good to OP-TEE from then on', async () => {
      const fileSystem = new OneReadFails();
      const failures: unknown[] = [];
      const supplicant = { fileSystem, onError: (error: unknown) => failures.push(error) };
      const tee = await openRealTee({ supplicant });
      const context = tee.openContext();
      const session = await context.openSession(storage);
      const [, { b: made }] = await session.invoke(Command.create, [
        temporary.input(bytes('a')),
        value.inout(flags),
        value.input(0, storages[0][1]),
        temporary.input(bytes('content')),
      ]);
      await session.invoke(Command.close, [value.input(made)]);
      const open = async () =>
        (
          await session.invoke(Command.open, [
            temporary.input(bytes('a')),
            value.inout(flags),
            value.input(storages[0][1]),
          ])
        )[1].b;
      const handle = await open();
      const read = () => session.invoke(Command.read, [temporary.output(100), value.inout(handle)]);
      fileSystem.next = true;
      await expect(read()).rejects.toMatchObject(code('ERROR_STORAGE_NOT_AVAILABLE'));
      expect(failures).toHaveLength(1);
      const after: unknown = await read().then(
        () => 'it is read',
        (error: TeecError) => error.codeName,
      );
      expect(['TEEC_ERROR_COMMUNICATION', 'TEEC_ERROR_CORRUPT_OBJECT', 'it is read']).toContain(after);
      if (after === 'TEEC_ERROR_COMMUNICATION') await expect(tee.close()).rejects.toThrow(/unhandled pageable abort/);
      else await tee.close();
    });
  },
);
