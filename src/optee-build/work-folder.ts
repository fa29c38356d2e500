import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolderSync } from '../files/make-folder.js';
import { readRegularText } from '../files/read-regular-file.js';

/**
 * A build folder that no other process uses: the first free one of `work-0`, `work-1`, ... Compiler caches use the path
 * of object files, so the path should be the same each time.
 */
export class WorkFolder implements AsyncDisposable {
  private constructor(
    readonly path: string,
    private readonly lock: string,
  ) {}

  static async take(parent: string): Promise<WorkFolder> {
    makeFolderSync(parent);
    for (let number = 0; ; number++) {
      const path = join(parent, `work-${number}`);
      const lock = `${path}.lock`;
      if (!(await taken(lock))) continue;
      await rm(path, { recursive: true, force: true });
      await mkdir(path);
      return new WorkFolder(path, lock);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
    await rm(this.lock, { force: true });
  }
}

/** Try to take the lock: it is free, or its owner has ended. */
async function taken(lock: string): Promise<boolean> {
  for (;;) {
    try {
      await writeFile(lock, String(process.pid), { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number(await readRegularText(lock).catch(() => ''));
    if (owner === 0 || (owner !== process.pid && !isAlive(owner))) await rm(lock, { force: true });
    else return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
