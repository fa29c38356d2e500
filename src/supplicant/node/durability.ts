import { closeSync, fsyncSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { errnoOf } from '../service-boundary.js';

/**
 * Write a folder to the disk. A new, renamed or removed entry is durable only after that. It is skipped for a folder
 * that is writable but not readable, and on file systems that do not support it.
 */
export async function folderToDisk(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!cannotSync(error)) throw error;
  }
}

/** The same, synchronously. */
export function folderToDiskNow(folder: string): void {
  try {
    const descriptor = openSync(folder, 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (!cannotSync(error)) throw error;
  }
}

function cannotSync(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP'].includes(errnoOf(error) ?? '');
}
