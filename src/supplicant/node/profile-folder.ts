import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProfileFiles } from '../profile-service.js';
import { errnoOf } from '../service-boundary.js';
import { makeFolder } from './make-folder.js';

/** Profiles as files in a folder, which is created for the first profile. */
export class ProfileFolder implements ProfileFiles {
  constructor(private readonly folder: string) {}

  async append(name: string, data: Uint8Array, create: boolean): Promise<boolean> {
    makeFolder(this.folder);
    const { O_APPEND, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
    const flags = O_APPEND | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT | O_EXCL : 0);
    let file: FileHandle;
    try {
      file = await open(join(this.folder, name), flags, 0o600);
    } catch (error) {
      if (errnoOf(error) === (create ? 'EEXIST' : 'ENOENT')) return false;
      throw error;
    }
    try {
      await file.writeFile(data);
    } finally {
      await file.close();
    }
    return true;
  }
}
