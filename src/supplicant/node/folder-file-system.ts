import { constants, realpathSync } from 'node:fs';
import { mkdir, readdir, realpath, rename, rmdir, unlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { lockPath } from '../../files/lock-path.js';
import { type OptionNames, requireKnownOptions } from '../../known-options.js';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { show } from '../../show.js';
import { commsError, TeecError } from '../../tee/teec-error.js';
import { pathParts } from '../path-parts.js';
import type { ReeFile, ReeFileSystem } from '../ree-file-system.js';
import { errnoOf, failureOf } from '../service-boundary.js';
import { SingleOwner } from '../single-owner.js';
import { folderToDisk } from './durability.js';
import { FolderFile } from './folder-file.js';
import { makeFolder } from './make-folder.js';
import { renameWithoutReplacing } from './rename-without-replacing.js';

/** Writes are on the disk when they return; a link is not followed; opening a FIFO does not wait. */
const careful = constants.O_SYNC | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface FolderFileSystemOptions {
  /** Nothing is written, and other readers may use the folder at the same time. */
  readonly readOnly?: boolean;
}

/** Files in a folder of the machine. Secure world cannot leave the folder, and one TEE at a time may use it. */
export class FolderFileSystem implements ReeFileSystem {
  private readonly readOnly: boolean;
  private readonly owner: SingleOwner;
  /** The folder's real path at the first access. A folder that replaces it later is not used. */
  private found: string | undefined;
  /** Serialises changes: a folder in which a file is being created must not be removed as empty by another change. */
  private changes: Promise<unknown> = Promise.resolve();

  /** @param root the folder; created if missing, unless it is read-only. */
  constructor(
    private readonly root: string,
    options: FolderFileSystemOptions = {},
  ) {
    requireKnownOptions('FolderFileSystem', options, { readOnly: true } satisfies OptionNames<FolderFileSystemOptions>);
    this.readOnly = options.readOnly ?? false;
    this.owner = new SingleOwner(`storage folder ${root}`, () => {
      this.found = undefined;
      try {
        return lockPath('folder', 'storage folder', this.top(), this.readOnly ? 'shared' : 'exclusive');
      } catch (error) {
        throw this.unavailable(error);
      }
    });
  }

  claim(tee: object): () => void {
    return this.owner.claim(tee);
  }

  async open(name: string): Promise<ReeFile> {
    const path = await this.inside(name);
    return named(name, async () => {
      try {
        if (!this.readOnly) return await FolderFile.open(name, path, constants.O_RDWR | careful);
      } catch (error) {
        // Open a file that may not be written read-only, like tee-supplicant.
        if (!['EACCES', 'EPERM', 'EROFS', 'ETXTBSY'].includes(errnoOf(error) ?? '')) throw error;
      }
      return FolderFile.open(name, path, constants.O_RDONLY | careful);
    });
  }

  create(name: string): Promise<ReeFile> {
    return this.change(`creating ${name}`, async () => {
      const parts = pathParts(name);
      // Created one at a time and checked, so that a link in the path cannot create a folder outside.
      for (let depth = 1; depth < parts.length; depth++) await this.makeFolder(parts.slice(0, depth).join('/'));
      const path = await this.inside(name);
      return named(name, async () => {
        const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | careful;
        const file = await FolderFile.open(name, path, flags);
        try {
          await folderToDisk(dirname(path));
        } catch (error) {
          await file.close();
          throw error;
        }
        return file;
      });
    });
  }

  remove(name: string): Promise<void> {
    return this.change(`removing ${name}`, async () => {
      const path = await this.inside(name);
      const top = this.top();
      await named(name, async () => {
        await unlink(path);
        let folder = dirname(path);
        for (; folder !== top; folder = dirname(folder)) {
          try {
            await rmdir(folder);
          } catch {
            // Not empty: keep it.
            break;
          }
        }
        await folderToDisk(folder);
      });
    });
  }

  rename(from: string, to: string, overwrite: boolean): Promise<void> {
    return this.change(`renaming ${from} to ${to}`, async () => {
      const source = await this.inside(from);
      const target = await this.inside(to);
      await named(`${from}, to be renamed to ${to}`, async () => {
        await (overwrite ? rename(source, target) : renameWithoutReplacing(source, target));
        await folderToDisk(dirname(target));
        if (dirname(source) !== dirname(target)) await folderToDisk(dirname(source));
      });
    });
  }

  async list(name: string): Promise<readonly string[]> {
    const folder = await this.inside(name);
    const names = await named(name, async () => {
      this.mustBeInside(await realpath(folder), name);
      return readdir(folder);
    });
    return names.filter((each) => !each.startsWith('.'));
  }

  private async makeFolder(name: string): Promise<void> {
    const folder = await this.inside(name);
    await named(name, async () => {
      try {
        await mkdir(folder, { mode: 0o700 });
      } catch (error) {
        if (errnoOf(error) === 'EEXIST') return;
        throw error;
      }
      await folderToDisk(dirname(folder));
    });
  }

  /** The path of a name. Links to folders in the path are followed only if they stay inside. */
  private async inside(name: string): Promise<string> {
    const parts = pathParts(name);
    const top = this.top();
    const last = parts.pop();
    if (last === undefined) return top;
    const folder = await named(name, () => realpath(join(top, ...parts)));
    this.mustBeInside(folder, name);
    return join(folder, last);
  }

  private mustBeInside(path: string, name: string): void {
    const top = this.top();
    if (path !== top && !path.startsWith(top.endsWith(sep) ? top : top + sep))
      // It is the folder that is wrong, not the request; libutee panics an application for BAD_PARAMETERS.
      throw commsError(
        TeeResult.ERROR_STORAGE_NOT_AVAILABLE,
        `file ${name}: a symbolic link leads to ${path}, outside storage folder ${top}`,
      );
  }

  /** @throws TeecError STORAGE_NOT_AVAILABLE */
  private top(): string {
    if (this.found !== undefined) return this.found;
    try {
      if (!this.readOnly) makeFolder(this.root);
      this.found = realpathSync(this.root);
      return this.found;
    } catch (error) {
      throw this.unavailable(error);
    }
  }

  private unavailable(error: unknown): TeecError {
    if (error instanceof TeecError) return error;
    return commsError(
      TeeResult.ERROR_STORAGE_NOT_AVAILABLE,
      `storage folder ${this.root} cannot be used: ${show(error)}`,
      { cause: error },
    );
  }

  private change<T>(doing: string, work: () => Promise<T>): Promise<T> {
    if (this.readOnly)
      throw commsError(TeeResult.ERROR_STORAGE_NOT_AVAILABLE, `${doing}: storage folder ${this.root} is read-only`);
    const done = this.changes.then(work, work);
    this.changes = done.catch(() => undefined);
    return done;
  }
}

/** Run a file operation; an error names the file by secure world's name. */
async function named<T>(name: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof TeecError) throw error;
    const { code } = failureOf(error, RpcCommand.fs);
    // A missing or an existing file is a normal answer, not a failure of the machine.
    const answer = code === TeeResult.ERROR_ITEM_NOT_FOUND || code === TeeResult.ERROR_ACCESS_CONFLICT;
    // The text of a failure of the machine has the path.
    throw answer
      ? commsError(code, `file ${name}: ${errnoOf(error) ?? show(error)}`)
      : commsError(code, `file ${name}: ${show(error)}`, { cause: error });
  }
}
