import { link, rename, unlink } from 'node:fs/promises';
import koffi from 'koffi';

// fcntl.h, linux/fs.h
const AT_FDCWD = -100;
const RENAME_NOREPLACE = 1;

const loadRenameat2 = () =>
  koffi
    .load(null)
    .func('int renameat2(int fromFolder, const char *from, int toFolder, const char *to, uint32_t flags)');
let renameat2: ReturnType<typeof loadRenameat2> | undefined;

/**
 * Rename a file if the new name does not exist. The kernel checks and renames atomically, so of two concurrent calls
 * one fails.
 * @throws Error with code EEXIST if the new name exists, or another error of the operating system.
 */
export async function renameWithoutReplacing(from: string, to: string): Promise<void> {
  if (from === to) {
    // The kernel would return EEXIST also for a missing file; this reports the missing file.
    await rename(from, to);
  }
  renameat2 ??= loadRenameat2();
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) === 0) return;
  const errno = koffi.errno();
  const code = Object.entries(koffi.os.errno).find(([, number]) => number === errno)?.[0] ?? `E${errno}`;
  // Some file systems do not support the flag.
  if (code !== 'EINVAL' && code !== 'ENOSYS')
    throw Object.assign(new Error(`${code}: renaming ${from} to ${to}`), { code, errno: -errno });
  await link(from, to);
  await unlink(from);
}
