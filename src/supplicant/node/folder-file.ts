import { type FileHandle, open } from 'node:fs/promises';
import { RpcCommand } from '../../protocol/optee-rpc-command.js';
import { TeeResult } from '../../protocol/tee-result.js';
import { show } from '../../show.js';
import { commsError } from '../../tee/teec-error.js';
import type { ReeFile } from '../ree-file-system.js';
import { errnoOf, failureOf } from '../service-boundary.js';

/** A file in a folder. */
export class FolderFile implements ReeFile {
  private constructor(
    private readonly name: string,
    private readonly handle: FileHandle,
  ) {}

  /** @throws TeecError ITEM_NOT_FOUND if it is not a regular file. @throws Error of the operating system. */
  static async open(name: string, path: string, flags: number): Promise<FolderFile> {
    const handle = await open(path, flags, 0o600);
    const status = await handle.stat().catch(async (error: unknown) => {
      await handle.close();
      throw error;
    });
    if (status.isFile()) return new FolderFile(name, handle);
    await handle.close();
    throw commsError(TeeResult.ERROR_ITEM_NOT_FOUND, `file ${name} is not a regular file`);
  }

  async read(offset: number, buffer: Uint8Array): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await this.tried('reading', () =>
        this.handle.read(buffer, done, buffer.length - done, offset + done),
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await this.tried('writing', () =>
        this.handle.write(data, done, data.length - done, offset + done),
      );
      done += bytesWritten;
    }
  }

  async truncate(length: number): Promise<void> {
    await this.tried('truncating', async () => {
      await this.handle.truncate(length);
      // Same durability as O_SYNC gives for a write.
      await this.handle.datasync();
    });
  }

  async close(): Promise<void> {
    await this.tried('closing', () => this.handle.close());
  }

  private async tried<T>(doing: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      const { code } = failureOf(error, RpcCommand.fs);
      throw commsError(code, `${doing} file ${this.name}: ${errnoOf(error) ?? show(error)}`, { cause: error });
    }
  }
}
