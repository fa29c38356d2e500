import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { TeeResult } from '../../protocol/tee-result.js';
import { commsError, TeecError } from '../../tee/teec-error.js';
import { pathParts } from '../path-parts.js';
import type { ReeFile, ReeFileSystem } from '../ree-file-system.js';

/** Written data is on the disk when a write returns, and a link is never followed to elsewhere. */
const durable = constants.O_SYNC | constants.O_NOFOLLOW;

/** Real files in a folder that secure world cannot leave. */
export class FolderFileSystem implements ReeFileSystem {
  /** @param root the folder; made when it is missing. */
  constructor(private readonly root: string) {}

  async open(name: string): Promise<ReeFile> {
    const path = await this.inside(name);
    return named(name, async () => new FolderFile(name, await open(path, constants.O_RDWR | durable)));
  }

  async create(name: string): Promise<ReeFile> {
    const parts = pathParts(name);
    // Folder by folder: a link on the way must not have one made elsewhere.
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = await this.inside(parts.slice(0, depth).join('/'));
      await named(name, () => mkdir(folder, { recursive: true, mode: 0o700 }));
    }
    const path = await this.inside(name);
    return named(name, async () => {
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | durable;
      const file = new FolderFile(name, await open(path, flags, 0o600));
      await syncFolder(dirname(path));
      return file;
    });
  }

  async remove(name: string): Promise<void> {
    const path = await this.inside(name);
    await named(name, () => rm(path));
    const root = await realpath(this.root);
    for (let folder = dirname(path); folder !== root; folder = dirname(folder)) {
      try {
        await rmdir(folder);
      } catch {
        // Not empty: it stays.
        return;
      }
    }
  }

  async rename(from: string, to: string, overwrite: boolean): Promise<void> {
    const source = await this.inside(from);
    const target = await this.inside(to);
    if (!overwrite && (await exists(target)))
      throw commsError(TeeResult.ERROR_ACCESS_CONFLICT, `renaming ${from} to ${to}, which exists`);
    await named(from, () => rename(source, target));
    await syncFolder(dirname(target));
  }

  async list(name: string): Promise<readonly string[]> {
    const path = await this.inside(name);
    const names = await named(name, () => readdir(path));
    return names.filter((each) => !each.startsWith('.'));
  }

  /** The path of a name; links in the folders on the way are followed, but only to places inside. */
  private async inside(name: string): Promise<string> {
    const parts = pathParts(name);
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const root = await realpath(this.root);
    const last = parts.pop();
    if (last === undefined) return root;
    const folder = await named(name, () => realpath(join(root, ...parts)));
    if (folder !== root && !folder.startsWith(root + sep))
      throw commsError(TeeResult.ERROR_BAD_PARAMETERS, `file name "${name}" leads out of the file system`);
    return join(folder, last);
  }
}

class FolderFile implements ReeFile {
  constructor(
    private readonly name: string,
    private readonly handle: FileHandle,
  ) {}

  async read(offset: number, buffer: Uint8Array): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await named(this.name, () =>
        this.handle.read(buffer, done, buffer.length - done, offset + done),
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await named(this.name, () =>
        this.handle.write(data, done, data.length - done, offset + done),
      );
      done += bytesWritten;
    }
  }

  async truncate(length: number): Promise<void> {
    await named(this.name, () => this.handle.truncate(length));
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

/** A new or renamed entry is durable only when its folder is on the disk too. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Run a file operation; its system errors become the results that tee-supplicant gives. */
async function named<T>(name: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof TeecError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const result =
      code === 'ENOENT'
        ? TeeResult.ERROR_ITEM_NOT_FOUND
        : code === 'ENOSPC'
          ? TeeResult.ERROR_STORAGE_NO_SPACE
          : TeeResult.ERROR_GENERIC;
    throw commsError(result, `file ${name}: ${code ?? error}`, { cause: error });
  }
}
