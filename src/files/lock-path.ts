import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import koffi from 'koffi';
import { TeeResult } from '../protocol/tee-result.js';
import { commsError } from '../tee/teec-error.js';

// fcntl.h
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

const loadFlock = () => koffi.load(null).func('int flock(int fd, int operation)');
let flock: ReturnType<typeof loadFlock> | undefined;

/**
 * Lock a folder or a file, for as long as the descriptor is open: the kernel unlocks it when this process ends, however it
 * ends. flock(2) locks hold between two opens of one process, too.
 * @param kind what it must be: a folder (ENOTDIR when it is not), or a file.
 * @param what it is, for the error: `storage folder`.
 * @param how `shared`: with others who do the same.
 * @returns unlocks it.
 * @throws TeecError BUSY naming who has it; STORAGE_NOT_AVAILABLE when the file system cannot lock.
 */
export function lockPath(
  kind: 'folder' | 'file',
  what: string,
  path: string,
  how: 'exclusive' | 'shared' = 'exclusive',
): () => void {
  const descriptor = openSync(path, constants.O_RDONLY | (kind === 'folder' ? constants.O_DIRECTORY : 0));
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

/** Who has locked it: `a TEE of process 4711 (node soak.js)`. Only a name for people, so a wrong guess does no harm. */
function holderOf(inode: bigint): string {
  const pid = lockersOf(inode)[0];
  if (pid === undefined) return 'another TEE';
  return pid === process.pid ? 'another TEE of this process' : `a TEE of process ${pid}${commandOf(pid)}`;
}

/** /proc/locks: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF`. */
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
