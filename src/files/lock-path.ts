import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import koffi from 'koffi';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';
import { RegularFileError } from './read-regular-file.js';

// fcntl.h
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

const loadFlock = () => koffi.load(null).func('int flock(int fd, int operation)');
let flock: ReturnType<typeof loadFlock> | undefined;

/**
 * Lock a folder or a file until the descriptor is closed. The kernel unlocks it when this process ends, however it
 * ends. flock(2) locks also exclude two opens by the same process.
 * @param kind what the path must be: a folder (else ENOTDIR) or a file.
 * @param what a name for the error message: `storage folder`.
 * @param how `shared`: other shared locks are permitted.
 * @returns a function that unlocks it.
 * @throws TeecError BUSY naming the owner of the lock; STORAGE_NOT_AVAILABLE if the file system does not support locks.
 */
export function lockPath(
  kind: 'folder' | 'file',
  what: string,
  path: string,
  how: 'exclusive' | 'shared' = 'exclusive',
): () => void {
  // O_NONBLOCK: opening a FIFO would otherwise wait for a writer.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const descriptor = openSync(path, flags | (kind === 'folder' ? constants.O_DIRECTORY : 0));
  if (kind === 'file' && !fstatSync(descriptor).isFile()) {
    closeSync(descriptor);
    throw new RegularFileError(path, 'EINVAL', 'it is not a regular file');
  }
  flock ??= loadFlock();
  if (flock(descriptor, (how === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return () => closeSync(descriptor);
  const errno = koffi.errno();
  const { ino } = fstatSync(descriptor, { bigint: true });
  closeSync(descriptor);
  if (errno === koffi.os.errno.EWOULDBLOCK || errno === koffi.os.errno.EAGAIN)
    throw commsError(TeeResult.ERROR_BUSY, `${what} ${path}: ${holderOf(ino)} uses it; only one TEE at a time may`);
  throw commsError(
    TeeResult.ERROR_STORAGE_NOT_AVAILABLE,
    `${what} ${path} cannot be locked against other TEEs (flock: errno ${errno})`,
  );
}

/** The owner of a lock: `a TEE of process 4711 (node soak.js)`. It is only used in messages. */
function holderOf(inode: bigint): string {
  const pid = lockersOf(inode)[0];
  if (pid === undefined) return 'another TEE';
  return pid === process.pid ? 'another TEE of this process' : `a TEE of process ${pid}${commandOf(pid)}`;
}

/** The owners of locks in /proc/locks: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF`. */
function lockersOf(inode: bigint): readonly number[] {
  try {
    return readFileSync('/proc/locks', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, kind, , , , file]) => kind === 'FLOCK' && file?.split(':')[2] === String(inode))
      .map((words) => Number(words[4]))
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

function commandOf(pid: number): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      .split('\0')
      .filter((word) => word !== '');
    return words.length === 0 ? '' : ` (${words.join(' ').slice(0, 120)})`;
  } catch {
    return '';
  }
}
