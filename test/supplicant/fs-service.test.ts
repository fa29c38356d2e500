import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RpcFs } from '../../src/protocol/optee-rpc-command.js';
import { TeeResult } from '../../src/protocol/tee-result.js';
import { fsService } from '../../src/supplicant/fs-service.js';
import { MemoryFileSystem } from '../../src/supplicant/memory-file-system.js';
import { FolderFileSystem } from '../../src/supplicant/node/folder-file-system.js';
import type { ReeFileSystem } from '../../src/supplicant/ree-file-system.js';
import type { SupplicantService } from '../../src/supplicant/supplicant-service.js';
import { bytesOf, RequestMemory, valueParam } from '../support/shared-memory.js';

/** They close what a test left open. */
const services: SupplicantService[] = [];

/** The requests of optee_rpc_cmd.h, as OP-TEE makes them. */
class FsClient {
  private readonly memory = new RequestMemory();

  constructor(private readonly service: SupplicantService) {
    services.push(service);
  }

  async open(name: string, operation: number = RpcFs.open): Promise<number> {
    const out = valueParam('output');
    await this.succeed([valueParam('input', operation), this.memory.text(name), out]);
    return out.a;
  }

  create(name: string): Promise<number> {
    return this.open(name, RpcFs.create);
  }

  async read(handle: number, offset: number, length: number): Promise<string> {
    const out = this.memory.memref('output', length);
    await this.succeed([valueParam('input', RpcFs.read, handle, offset), out]);
    return new TextDecoder().decode(bytesOf(out));
  }

  write(handle: number, offset: number, text: string): Promise<void> {
    const data = this.memory.memref('input', new TextEncoder().encode(text));
    return this.succeed([valueParam('input', RpcFs.write, handle, offset), data]);
  }

  truncate(handle: number, length: number): Promise<void> {
    return this.succeed([valueParam('input', RpcFs.truncate, handle, length)]);
  }

  close(handle: number): Promise<void> {
    return this.succeed([valueParam('input', RpcFs.close, handle)]);
  }

  remove(name: string): Promise<void> {
    return this.succeed([valueParam('input', RpcFs.remove), this.memory.text(name)]);
  }

  rename(from: string, to: string, overwrite: boolean): Promise<void> {
    const request = valueParam('input', RpcFs.rename, overwrite ? 1 : 0);
    return this.succeed([request, this.memory.text(from), this.memory.text(to)]);
  }

  async list(name: string): Promise<string[]> {
    const out = valueParam('output');
    await this.succeed([valueParam('input', RpcFs.opendir), this.memory.text(name), out]);
    const names: string[] = [];
    for (;;) {
      const entry = this.memory.memref('output', 300);
      const result = await this.service([valueParam('input', RpcFs.readdir, out.a), entry]);
      if (result === TeeResult.ERROR_ITEM_NOT_FOUND) break;
      names.push(new TextDecoder().decode(bytesOf(entry)).replace('\0', ''));
    }
    await this.succeed([valueParam('input', RpcFs.closedir, out.a)]);
    return names.sort();
  }

  private async succeed(params: Parameters<SupplicantService>[0]): Promise<void> {
    const result = await this.service(params);
    if (result !== TeeResult.SUCCESS) throw Object.assign(new Error('refused'), { code: result });
  }
}

const code = (name: keyof typeof TeeResult) => expect.objectContaining({ code: TeeResult[name] });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalworld-fs-'));
});
afterEach(async () => {
  for (const service of services.splice(0)) await service.leave?.();
  rmSync(folder, { recursive: true });
});

const fileSystems: Record<string, () => ReeFileSystem> = {
  'in memory': () => new MemoryFileSystem(),
  'in a folder': () => new FolderFileSystem(join(folder, 'tee')),
};

for (const [where, make] of Object.entries(fileSystems)) {
  describe(`files of secure world ${where}`, () => {
    let fs: FsClient;
    beforeEach(() => {
      fs = new FsClient(fsService(make()));
    });

    it('store data at any offset', async () => {
      const handle = await fs.create('dirf.db');
      await fs.write(handle, 0, 'hello');
      await fs.write(handle, 8, 'world');
      await fs.close(handle);
      const again = await fs.open('dirf.db');
      expect(await fs.read(again, 0, 100)).toBe('hello\0\0\0world');
      expect(await fs.read(again, 8, 3)).toBe('wor');
      expect(await fs.read(again, 13, 10)).toBe('');
    });

    it('are shortened and extended by truncation', async () => {
      const handle = await fs.create('a');
      await fs.write(handle, 0, 'hello');
      await fs.truncate(handle, 2);
      expect(await fs.read(handle, 0, 10)).toBe('he');
      await fs.truncate(handle, 4);
      expect(await fs.read(handle, 0, 10)).toBe('he\0\0');
    });

    it('are empty after being created again', async () => {
      await fs.write(await fs.create('a'), 0, 'hello');
      await fs.create('a');
      expect(await fs.read(await fs.open('a'), 0, 10)).toBe('');
    });

    it('are listed, and an empty folder is not found', async () => {
      await fs.create('ta/one');
      await fs.create('ta/two');
      expect(await fs.list('ta')).toEqual(['one', 'two']);
      await fs.remove('ta/one');
      await fs.remove('ta/two');
      await expect(fs.list('ta')).rejects.toEqual(code('ERROR_ITEM_NOT_FOUND'));
    });

    it('are renamed, and replace another only on request', async () => {
      await fs.write(await fs.create('a'), 0, 'A');
      await fs.create('b');
      await expect(fs.rename('a', 'b', false)).rejects.toEqual(code('ERROR_ACCESS_CONFLICT'));
      await fs.rename('a', 'b', true);
      expect(await fs.read(await fs.open('b'), 0, 10)).toBe('A');
      await expect(fs.open('a')).rejects.toEqual(code('ERROR_ITEM_NOT_FOUND'));
    });

    it('stay readable through a handle after they were removed', async () => {
      const handle = await fs.create('a');
      await fs.write(handle, 0, 'still');
      await fs.remove('a');
      expect(await fs.read(handle, 0, 10)).toBe('still');
    });

    it.each([
      ['opening', (client: FsClient) => client.open('../secret')],
      ['creating', (client: FsClient) => client.create('a/../../secret')],
      ['removing', (client: FsClient) => client.remove('..')],
      ['renaming to', (client: FsClient) => client.create('a').then(() => client.rename('a', '../secret', true))],
      ['listing', (client: FsClient) => client.list('../')],
    ])('cannot be outside of the folder: %s a name with ".." is refused', async (_, attempt) => {
      await expect(attempt(fs)).rejects.toEqual(code('ERROR_BAD_PARAMETERS'));
    });

    it.each([
      ['a handle that is not open', [valueParam('input', RpcFs.close, 77)]],
      ['an operation that does not exist', [valueParam('input', 99)]],
      ['no parameters', []],
      ['an output where an input belongs', [valueParam('output', RpcFs.close, 0)]],
      ['a value where a name belongs', [valueParam('input', RpcFs.remove), valueParam('input')]],
    ])('refuse %s', async (_, params) => {
      const service = fsService(make());
      await expect((async () => service(params))()).rejects.toEqual(code('ERROR_BAD_PARAMETERS'));
    });
  });
}

describe('files of secure world in a folder', () => {
  it('are ordinary files there, readable by their owner only', async () => {
    const fs = new FsClient(fsService(new FolderFileSystem(join(folder, 'tee'))));
    await fs.write(await fs.create('ta/object'), 0, 'content');
    expect(readFileSync(join(folder, 'tee/ta/object'), 'utf8')).toBe('content');
    expect(statSync(join(folder, 'tee/ta/object')).mode & 0o777).toBe(0o600);
  });

  it('are not reached through links that lead elsewhere', async () => {
    mkdirSync(join(folder, 'tee'));
    mkdirSync(join(folder, 'other'));
    writeFileSync(join(folder, 'other/secret'), 'secret');
    symlinkSync(join(folder, 'other'), join(folder, 'tee/folder'));
    symlinkSync(join(folder, 'other/secret'), join(folder, 'tee/file'));
    const fs = new FsClient(fsService(new FolderFileSystem(join(folder, 'tee'))));
    const outside = join(folder, 'other');
    for (const attempt of [() => fs.open('folder/secret'), () => fs.create('folder/new')]) {
      await expect(attempt()).rejects.toEqual(code('ERROR_STORAGE_NOT_AVAILABLE'));
      await expect(attempt()).rejects.toThrow(`a symbolic link leads to ${outside}, outside storage folder`);
    }
    await expect(fs.create('folder/sub/new')).rejects.toEqual(code('ERROR_STORAGE_NOT_AVAILABLE'));
    expect(readdirSync(join(folder, 'other'))).toEqual(['secret']);
    for (const attempt of [() => fs.open('file'), () => fs.create('file')]) {
      await expect(attempt()).rejects.toEqual(code('ERROR_STORAGE_NOT_AVAILABLE'));
      await expect(attempt()).rejects.toThrow(`ELOOP: too many symbolic links encountered, open '${folder}/tee/file'`);
    }
    expect(readFileSync(join(folder, 'other/secret'), 'utf8')).toBe('secret');
  });
});
